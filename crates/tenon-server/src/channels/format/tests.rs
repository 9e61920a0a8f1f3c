//! Formats by example, and against anything.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn route(data_format: DataFormat) -> HttpRoute {
    HttpRoute {
        data_format,
        ..HttpRoute::new("/".parse().unwrap(), "s")
    }
}

fn value(format: DataFormat, text: &str) -> Value {
    let read = read(&route(format), Bytes::copy_from_slice(text.as_bytes()), 20).unwrap();
    assert!(read.is_json);
    serde_json::from_slice(&read.bytes).unwrap()
}

/// The element or place that is told to be wrong.
fn wrong(format: DataFormat, body: &[u8]) -> (String, String) {
    let problem = read(&route(format), Bytes::copy_from_slice(body), 20).unwrap_err();
    assert_eq!(problem.status, 400);
    (problem.errors[0].field.clone(), problem.errors[0].message.clone())
}

fn written(format: DataFormat, value: &Value) -> Option<String> {
    let written = write(format, CsvFormat::default(), value.to_string().as_bytes());
    written.map(|(bytes, _)| String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn json_goes_on_as_it_came() {
    for good in [
        "{}",
        "[]",
        "0",
        "-0.5e-3",
        "\"\\u00e9\\ud83d\\ude00\"",
        " [1, {\"a\": [true, null]}] \n",
        "{\"a\": 1, \"A\": 2, \"\": 3}",
        "1e308",
        "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
    ] {
        let read = read(&route(DataFormat::Json), Bytes::from_static(good.as_bytes()), 20).unwrap();
        assert_eq!((&read.bytes[..], read.is_json), (good.as_bytes(), true), "{good}");
    }
    let empty = read(&route(DataFormat::Json), Bytes::from_static(b" \n"), 20).unwrap();
    assert!(empty.bytes.is_empty() && !empty.is_json);
}

#[test]
fn json_that_readers_disagree_about_is_refused_with_its_element() {
    let many = (0..40)
        .map(|number| format!("\"n{number}\": 1, "))
        .collect::<Vec<_>>()
        .concat();
    for (bad, field) in [
        (b"{\"a\": {\"b\": 1, \"\\u0062\": 2}}".as_slice(), "/a/b"),
        (format!("{{{many}\"n3\": 1}}").as_bytes(), "/n3"),
        (b"{\"a\": [1, 2, 1e400]}", "/a[2]"),
        (format!("[{}]", "9".repeat(400)).as_bytes(), "/[0]"),
        (b"[{\"a\": \"\xff\"}]", "/[0]/a"),
        (b"{\"a\": \"\\ud800\"}", "/a"),
        (b"{\"a\": \"\\ud800\\u0041\"}", "/a"),
        (&"[".repeat(21).into_bytes(), &format!("/{}", "[0]".repeat(20))),
        (b"{\"name\": \"a\",}", "line 1, column 14"),
        (b"{\"a\":\n 01}", "line 2, column 3"),
        (b"{} {}", "line 1, column 4"),
        (b"[1", "line 1, column 3"),
        (b"{\"a\" 1}", "line 1, column 6"),
        (b"\"\n\"", "line 1, column 2"),
        (b"nul", "line 1, column 1"),
        (b"\xef\xbb\xbf{}", "line 1, column 1"),
        (b"-", "line 1, column 2"),
        (b"\"\\x\"", "line 1, column 2"),
    ] {
        assert_eq!(
            wrong(DataFormat::Json, bad).0,
            field,
            "{}",
            String::from_utf8_lossy(bad)
        );
    }
}

#[test]
fn a_form_is_an_object() {
    assert_eq!(
        value(DataFormat::Form, "a=1&b=x+y%26z&a=2&c&&=5\r\n"),
        json!({"a": "2", "b": "x y&z", "c": "", "": "5"})
    );
    assert_eq!(wrong(DataFormat::Form, b"a=1&b=%zz").0, "/b");
    assert_eq!(wrong(DataFormat::Form, b"a=%ff").0, "/a");
    assert_eq!(wrong(DataFormat::Form, b"a=1&b=\xff").0, "line 1, column 7");
    let text = written(DataFormat::Form, &json!({"a b": "ü", "n": [1, true], "z": null}));
    assert_eq!(text.as_deref(), Some("a+b=%C3%BC&n=1&n=true&z="));
    assert_eq!(written(DataFormat::Form, &json!({"a": {"b": 1}})), None);
}

#[test]
fn csv_rows_are_objects_by_the_first_line() {
    assert_eq!(
        value(DataFormat::Csv, "\u{feff}name,note\r\nAnna,\"a, \"\"b\"\"\"\nBo,\n"),
        json!([{"name": "Anna", "note": "a, \"b\""}, {"name": "Bo", "note": ""}])
    );
    let plain = HttpRoute {
        csv: CsvFormat {
            delimiter: b';',
            header: false,
        },
        ..route(DataFormat::Csv)
    };
    let rows = read(&plain, Bytes::from_static(b"1;2\n3;4"), 20).unwrap();
    assert_eq!(&rows.bytes[..], br#"[["1","2"],["3","4"]]"#);
    assert_eq!(rows.raw.as_deref(), Some(b"1;2\n3;4".as_slice()));
    assert_eq!(wrong(DataFormat::Csv, b"a,b\n1,2\n3\n").0, "line 3");
    assert_eq!(wrong(DataFormat::Csv, b"a,a\n1,2\n").0, "line 1");
    assert_eq!(wrong(DataFormat::Csv, b"a,\n1,2\n").0, "line 1");
    assert_eq!(wrong(DataFormat::Csv, b"a\n\xff\n").0, "line 2, column 1");
    assert_eq!(wrong(DataFormat::Csv, b"a,b\n\"1\n\",2\n3,\"4\n5,6\n").0, "line 4");
    assert_eq!(wrong(DataFormat::Csv, b"a,b\r\r\n\n\"1\"x,2").0, "line 4");
    assert_eq!(
        value(DataFormat::Csv, "a,b\r1,x\"y\r\"\",\"\"\"\""),
        json!([{"a": "1", "b": "x\"y"}, {"a": "", "b": "\""}])
    );
    let rows = json!([{"a": 1, "b": "x,y"}, {"b": null, "c": [1]}]);
    assert_eq!(
        written(DataFormat::Csv, &rows).as_deref(),
        Some("a,b,c\r\n1,\"x,y\",\r\n,,[1]\r\n")
    );
    assert_eq!(written(DataFormat::Csv, &json!([["a", 1]])).as_deref(), Some("a,1\r\n"));
    assert_eq!(written(DataFormat::Csv, &json!("text")), None);
    let no_table: Vec<Value> = (0..5_000).map(|number| json!({ format!("n{number}"): 1 })).collect();
    assert_eq!(written(DataFormat::Csv, &json!(no_table)), None);
}

#[test]
fn xml_is_an_object_and_back() {
    let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><!-- c --><o:order xmlns:o=\"u\" id='7 &lt;'>\n  <line>a &amp; b&#33;</line>\
        <line n=\"2\"/><line n=\"3\">c<![CDATA[<d>]]></line><empty/> tail </o:order>";
    let order = json!({"o:order": {
        "@xmlns:o": "u", "@id": "7 <", "line": ["a & b!", {"@n": "2"}, {"@n": "3", "#text": "c<d>"}],
        "empty": null, "#text": "tail",
    }});
    assert_eq!(value(DataFormat::Xml, text), order);
    let back = written(DataFormat::Xml, &order).unwrap();
    assert_eq!(value(DataFormat::Xml, &back), order);
    let list = written(DataFormat::Xml, &json!([1, {"a": true}])).unwrap();
    assert_eq!(
        value(DataFormat::Xml, &list),
        json!({"response": {"item": ["1", {"a": "true"}]}})
    );
    assert_eq!(written(DataFormat::Xml, &json!({"a b": 1})), None);
    assert_eq!(written(DataFormat::Xml, &json!({"a": "\u{1}"})), None);
}

#[test]
fn xml_that_could_do_harm_or_is_broken_is_refused() {
    for (bad, told) in [
        (
            "<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
            "document type",
        ),
        ("<a>&b;</a>", "entity"),
        ("<a b='&c;'/>", "entity"),
        ("<a>&#0;</a>", ""),
        ("<a><b></a>", ""),
        ("<a>", "ends before"),
        ("<a/><b/>", "one element"),
        ("<a/>text", "outside"),
        ("text", "outside"),
        ("<a b='1' b='2'/>", ""),
        ("<?xml version='1.0' encoding='utf-16'?><a/>", "encoding"),
        ("<!-- only -->", "has an element"),
        (&"<a>".repeat(21), "nested more than 20"),
    ] {
        let (field, message) = wrong(DataFormat::Xml, bad.as_bytes());
        assert!(message.contains(told), "{bad}: {field}: {message}");
    }
}

proptest! {
    #[test]
    fn json_is_taken_exactly_if_it_is_json(text in "[\\[\\]{}:,\"a\\\\u0-9eE.+\\- tnrf]{0,24}") {
        let taken = json::check(text.as_bytes(), 100).is_ok();
        let parsed = serde_json::from_str::<Value>(&text);
        if taken {
            prop_assert!(parsed.is_ok(), "{}", text);
        } else if let Ok(value) = parsed {
            // What only this check refuses: names that repeat, which the reader above folds into one.
            let names = text.matches("\":").count() + text.matches("\" :").count();
            prop_assert!(names > 1 || value.is_null(), "{}", text);
        }
    }

    #[test]
    fn no_body_is_too_strange(body in prop::collection::vec(any::<u8>(), 0..64), text in "[<>/&;!\\[\\]a='\" \n,%+#x0-9-]{0,48}") {
        for format in [DataFormat::Json, DataFormat::Form, DataFormat::Csv, DataFormat::Xml, DataFormat::Raw] {
            for body in [&body[..], text.as_bytes()] {
                match read(&route(format), Bytes::copy_from_slice(body), 8) {
                    Ok(read) if read.is_json => {
                        let value: Value = serde_json::from_slice(&read.bytes).unwrap();
                        let _ = write(format, CsvFormat::default(), &read.bytes);
                        prop_assert!(format == DataFormat::Json || value.is_object() || value.is_array());
                    }
                    Ok(_) => {}
                    Err(problem) => prop_assert_eq!(problem.status, 400),
                }
            }
        }
    }
}

#[test]
fn xml_that_is_not_well_formed_is_refused() {
    for (bad, field) in [
        (b"<a>\0</a>".as_slice(), "line 1, column 4"),
        (b"<a>\n\x01</a>", "line 2, column 1"),
        (b"<a>&#1;</a>", "/a"),
        (b"<1a/>", "/"),
        (b"<a><b-&/></a>", "/a"),
        (b"<a>]]></a>", "/a"),
        (b"<a b='<'/>", "/"),
        (b"<a b='&#2;'/>", "/"),
        (b"<a 1='2'/>", "/"),
        (b"<a><b c='1' c='2'/></a>", "/a"),
        (b"<a><!-- -- --></a>", "line 1, column 15"),
    ] {
        assert_eq!(wrong(DataFormat::Xml, bad).0, field, "{}", String::from_utf8_lossy(bad));
    }
    assert_eq!(
        value(DataFormat::Xml, "<\u{915}\u{94d}\u{937}-1.b \u{e9}='\u{7f}'/>"),
        json!({"\u{915}\u{94d}\u{937}-1.b": {"@\u{e9}": "\u{7f}"}})
    );
}

/// What is compared with all before it, or repeated for all after it, must not make a small body a long job or a large one.
#[test]
fn bodies_cost_what_they_weigh() {
    let many = |each: &dyn Fn(usize) -> String, between: &str| (0..50_000).map(each).collect::<Vec<_>>().join(between);
    let attributes = format!("<a {}/>", many(&|number| format!("n{number}=''"), " "));
    assert_eq!(value(DataFormat::Xml, &attributes)["a"]["@n49999"], "");
    let columns = many(&|number| format!("n{number}"), ",");
    assert_eq!(value(DataFormat::Csv, &columns), json!([]));

    let rows = format!("{}\n{}", "n".repeat(1 << 20), "1\n".repeat(100_000));
    let problem = read(&route(DataFormat::Csv), Bytes::from(rows), 20).unwrap_err();
    assert_eq!(problem.status, 413);
}
