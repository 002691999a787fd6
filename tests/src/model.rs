//! Random sequences of calls against a small model of what the documentation promises: the same answers, and in the
//! end the same tasks, on both stores.
//!
//! The model knows nothing of the library's own rules. Where it and a store disagree, one of them is wrong:
//! proptest prints the shortest sequence that it finds.

mod admission;
mod drive;
mod ops;
mod queue;
mod reference;

use ops::Op;
use proptest::{
    prelude::*,
    test_runner::{Config, TestError, TestRunner},
};

/// Runs `cases` random sequences on the stores that `url` and `namespace` name.
fn check(cases: u32, url: &str, namespace: impl Fn(u32) -> String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 4_000,
        ..Config::default()
    });
    let tried = std::cell::Cell::new(0);
    let sequences = prop::collection::vec(ops::op(), 1..=40);
    let outcome = runner.run(&sequences, |ops: Vec<Op>| {
        tried.set(tried.get() + 1);
        let ran = runtime.block_on(drive::run(url, &namespace(tried.get()), &ops));
        ran.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, _)) => panic!("{why}"),
        Err(TestError::Abort(why)) => panic!("proptest gave up: {why}"),
    }
}

/// KURULTAI_TEST_CASES asks for more than usual.
fn cases(usual: u32) -> u32 {
    std::env::var("KURULTAI_TEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usual)
}

mod sqlite {
    #[test]
    fn any_sequence_of_calls_does_what_the_model_says() {
        super::check(super::cases(256), "memory:", |_| "model".to_owned());
    }
}

mod neo4j {
    #[test]
    fn any_sequence_of_calls_does_what_the_model_says() {
        let url = crate::chaos::neo4j_url();
        let run = kurultai_core::ids::new_id();
        super::check(super::cases(16), &url, |case| format!("model-{run}-{case}"));
    }
}
