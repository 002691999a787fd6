//! A process for the tests to kill: see `kurultai_tests::chaos::role`.

fn main() -> std::process::ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    kurultai_tests::chaos::role::main(&args)
}
