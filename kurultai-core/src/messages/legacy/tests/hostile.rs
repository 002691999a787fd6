use super::*;

fn refused(text: &str) -> String {
    match canonical_text(text) {
        Ok(canonical) => panic!("{text:.60} is read as {canonical:.60}"),
        Err(error) => {
            assert_eq!(error.code(), "input.payload");
            assert_eq!(code(verified(text)), "sig.malformed");
            error.message().to_owned()
        }
    }
}

fn canonical(text: &str) -> String {
    canonical_text(text).unwrap()
}

#[test]
fn sixty_four_levels_are_read_and_no_more() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = |levels: usize| format!("{}0{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(canonical(&deep(64)), deep(64));
        assert!(refused(&deep(65)).contains("more than 64 levels"));
        // No stack is as deep.
        assert!(refused(&open.repeat(1 << 20)).contains("more than 64 levels"));
    }
    let side_by_side = format!("[{}[]]", "[[]],".repeat(1000));
    assert_eq!(canonical(&side_by_side), side_by_side);
}

#[test]
fn a_key_twice_is_refused_at_any_depth() {
    for text in [
        r#"{"a":1,"a":1}"#,
        r#"{"a":1,"b":2,"a":3}"#,
        r#"{"a":1,"\u0061":2}"#,
        r#"{"ö":1,"\u00f6":2}"#,
        r#"{"😀":1,"\ud83d\ude00":2}"#,
        r#"{"\ud800":1,"\uD800":2}"#,
        r#"{"":1,"":2}"#,
        r#"[0,{"x":[{"a":1,"a":2}]}]"#,
    ] {
        assert!(refused(text).contains("a key twice"), "{text}");
    }
    // Composed and decomposed are two keys to Python.
    canonical("{\"o\u{308}\":1,\"\u{f6}\":2}");
    let again = |key: &str| {
        sign_message(r#"{"a":1}"#, &kublai(), noon()).unwrap().replacen('{', &format!(r#"{{"{key}":0,"#), 1)
    };
    for key in ["a", "signature", "sig_metadata", r"\u0073ignature"] {
        assert_eq!(code(verified(&again(key))), "sig.malformed", "{key}");
    }
}

#[test]
fn keys_are_in_the_order_of_their_code_points() {
    for (text, sorted) in [
        (r#"{"b":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"ab":1,"a":2,"":3,"a!":4,"a ":5}"#, r#"{"":3,"a":2,"a ":5,"a!":4,"ab":1}"#),
        (r#"{"é":1,"z":2,"Z":3,"\"":4,"\n":5}"#, r#"{"\n":5,"\"":4,"Z":3,"z":2,"\u00e9":1}"#),
        // By code points, not by UTF-16 units; a lone surrogate by its own value.
        ("{\"\u{10000}\":1,\"\u{ffff}\":2}", r#"{"\uffff":2,"\ud800\udc00":1}"#),
        (
            r#"{"\ud800\udc00":1,"\ue000":2,"\udc00":3,"\ud800":4}"#,
            r#"{"\ud800":4,"\udc00":3,"\ue000":2,"\ud800\udc00":1}"#,
        ),
        (r#"{"b":{"d":1,"c":[{"f":1,"e":2}]},"a":{}}"#, r#"{"a":{},"b":{"c":[{"e":2,"f":1}],"d":1}}"#),
    ] {
        assert_eq!(canonical(text), sorted);
    }
}

#[test]
fn strings_are_written_as_python_does() {
    for (text, written) in [
        (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
        (r#""😀""#, r#""\ud83d\ude00""#),
        (r#""\uD800""#, r#""\ud800""#),
        (r#""\udc00\ud800""#, r#""\udc00\ud800""#),
        (r#""\ud800\ud800\udc00""#, r#""\ud800\ud800\udc00""#),
        ("\"\u{2028}\u{2029}\u{7f}\u{80}\u{feff}\"", r#""\u2028\u2029\u007f\u0080\ufeff""#),
        (r#""\/\\\"\b\f\n\r\t""#, r#""/\\\"\b\f\n\r\t""#),
        (r#""\u0008\u000C\u000a\u000d\u0009\u0022\u005c\u002f""#, r#""\b\f\n\r\t\"\\/""#),
        (r#""\u0000\u001f\u001F""#, r#""\u0000\u001f\u001f""#),
        (r#""\\u0041\u0041""#, r#""\\u0041A""#),
        (r#""""#, r#""""#),
    ] {
        assert_eq!(canonical(text), written);
    }
    for text in [
        "\"\u{1f}\"",
        "\"\n\"",
        "\"\t\"",
        "\"\0\"",
        r#"{"a\u000":1}"#,
        r#""\u12""#,
        r#""\u123g""#,
        r#""\u+123""#,
        r#""\u 123""#,
        r#""\x41""#,
        r#""\U00000041""#,
        r#""\'""#,
        r#""\"#,
        r#"""#,
        r#""a"#,
        r#""\u00e"#,
        r#""\ué""#,
        r#""\é""#,
        "'a'",
    ] {
        refused(text);
    }
}

#[test]
fn numbers_are_as_json_has_them() {
    assert_eq!(
        canonical("[-0,-0.0,1E5,1e05,1E+5,0E0,1.0,1.00]"),
        "[0,-0.0,100000.0,100000.0,100000.0,0.0,1.0,1.0]"
    );
    assert_eq!(canonical(&"9".repeat(4300)), "9".repeat(4300));
    for text in [
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "1e400",
        "-1e400",
        "01",
        "-01",
        "00",
        "1.",
        ".5",
        "+1",
        "-",
        "--1",
        "1e",
        "1e+",
        "1.e5",
        "0x10",
        "1_000",
        "٣",
        "1٣",
        "1,",
        "1 2",
        &"9".repeat(4301),
        &format!("[-{}]", "1".repeat(4301)),
    ] {
        refused(text);
    }
}

#[test]
fn a_text_is_one_document() {
    assert_eq!(canonical(" \t\r\n[ ]\n"), "[]");
    assert_eq!(canonical("{ \"a\" : [ 1 , true,false , null ] }"), r#"{"a":[1,true,false,null]}"#);
    for text in [
        "",
        " ",
        "\u{feff}{}",
        "{}\u{feff}",
        "{} {}",
        "{}x",
        "{}\0",
        "\u{a0}{}",
        "\u{b}{}",
        "\u{c}{}",
        "{,}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "[",
        "{",
        "]",
        "[}",
        "{\"a\":1]",
        "nul",
        "True",
        "// x\n{}",
    ] {
        refused(text);
    }
    for text in ["nulll", "truefalse"] {
        refused(text);
    }
    // A document, but no message.
    for text in ["[]", "1", "null", r#""{}""#] {
        assert_eq!(code(verified(text)), "sig.malformed");
        assert_eq!(sign_message(text, &kublai(), noon()).unwrap_err().code(), "input.payload");
    }
}

#[test]
fn an_envelope_has_a_largest_size() {
    let envelope =
        |size: usize| sign_message(&format!(r#"{{"a":"{}"}}"#, "x".repeat(size)), &kublai(), noon());
    let around = envelope(0).unwrap().len();
    let largest = envelope(MAX_BYTES - around).unwrap();
    assert_eq!(largest.len(), MAX_BYTES);
    assert_eq!(code(verified(&largest)), "accepted");
    assert_eq!(code(verified(&format!("{largest} "))), "sig.malformed");
    assert!(envelope(MAX_BYTES - around + 1).unwrap_err().message().contains("262145 bytes"));
}

#[test]
fn errors_are_short_whatever_was_sent() {
    let long = "x".repeat(100_000);
    let by = LegacyKey::new(&*long, &*long, SECRET);
    let envelope = sign_message(&format!(r#"{{"to":"{long}"}}"#), &kublai(), noon()).unwrap();
    let not_ours = Expect { audiences: vec!["jochi".into()], now: noon() };
    for answer in [
        verified(&sign_message("{}", &by, noon()).unwrap()),
        verified(&format!(r#"{{"_sig_{long}":1}}"#)),
        verified(&envelope.replace("HMAC-SHA256", &long)),
        verified(&envelope.replace("2026", &long)),
        verify(&envelope, &vec![kublai()], &not_ours),
    ] {
        assert!(answer.unwrap_err().message().len() < 300);
    }
}
