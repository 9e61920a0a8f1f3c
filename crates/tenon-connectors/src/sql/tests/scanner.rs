//! Tests of the scanner for named parameters.

use proptest::prelude::*;

use crate::sql::statement::{Dialect, first_word, number};

fn numbered(text: &str, dialect: Dialect) -> (String, Vec<String>) {
    let numbered = number(text, dialect);
    (numbered.text, numbered.names)
}

#[test]
fn parameters_are_found_outside_quotes_comments_casts_and_slices() {
    for (text, expected, names) in [
        ("SELECT :a, :b2, :a", "SELECT $1, $2, $1", vec!["a", "b2"]),
        ("SELECT :a::int, b::text", "SELECT $1::int, b::text", vec!["a"]),
        ("SELECT ':a' || \":b\" || :c", "SELECT ':a' || \":b\" || $1", vec!["c"]),
        ("SELECT 'it''s :a', :b", "SELECT 'it''s :a', $1", vec!["b"]),
        (r"SELECT E'it\'s :a', :b", r"SELECT E'it\'s :a', $1", vec!["b"]),
        (r"SELECT 'a\', :b", r"SELECT 'a\', $1", vec!["b"]),
        (
            "SELECT $$:a$$, $x$ $$ :b $x$, :c",
            "SELECT $$:a$$, $x$ $$ :b $x$, $1",
            vec!["c"],
        ),
        ("-- :a\nSELECT :b", "-- :a\nSELECT $1", vec!["b"]),
        (
            "/* :a /* :b */ :c */ SELECT :d",
            "/* :a /* :b */ :c */ SELECT $1",
            vec!["d"],
        ),
        (
            "SELECT a[1:2], b[lo:hi], c[:n]",
            "SELECT a[1:2], b[lo:hi], c[$1]",
            vec!["n"],
        ),
        ("WHERE x=:x AND(:y)", "WHERE x=$1 AND($2)", vec!["x", "y"]),
        ("a := b, '10:30', :1, : a", "a := b, '10:30', :1, : a", vec![]),
        (
            "SELECT '{\"a\": 1}'::jsonb ? :key",
            "SELECT '{\"a\": 1}'::jsonb ? $1",
            vec!["key"],
        ),
        ("SELECT ':a", "SELECT ':a", vec![]),
        ("SELECT :größe", "SELECT $1", vec!["größe"]),
    ] {
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        assert_eq!(
            numbered(text, Dialect::Postgres),
            (expected.to_owned(), names),
            "{text}"
        );
    }
    let text = "SELECT `:a`, [:b], :c /* /* */, :c";
    assert_eq!(numbered(text, Dialect::Sqlite).0, "SELECT `:a`, [:b], ?1 /* /* */, ?1");
}

#[test]
fn the_first_word_is_found_behind_comments() {
    for (text, word) in [
        ("SELECT 1", "select"),
        ("-- begin\n /* x */ (Select 1)", "select"),
        ("  BEGIN;", "begin"),
        ("", ""),
        ("'x'", ""),
    ] {
        assert_eq!(first_word(text, Dialect::Postgres), word, "{text:?}");
    }
}

/// A piece of a statement, and what it becomes when its parameters are numbered.
#[derive(Debug, Clone)]
enum Piece {
    Parameter(String),
    Verbatim(String),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        "[a-z_][a-z0-9_]{0,5}".prop_map(Piece::Parameter),
        "[a-zA-Z0-9_ ,()=<>+*.]{0,10}".prop_map(Piece::Verbatim),
        "[^']{0,10}".prop_map(|text| Piece::Verbatim(format!("'{text}'"))),
        "[^\"]{0,10}".prop_map(|text| Piece::Verbatim(format!("\"{text}\""))),
        "[^\\n]{0,10}".prop_map(|text| Piece::Verbatim(format!("--{text}\n"))),
        "[^*/]{0,10}".prop_map(|text| Piece::Verbatim(format!("/*{text}*/"))),
        "[a-z]{1,5}".prop_map(|name| Piece::Verbatim(format!("x::{name}"))),
        "[^$]{0,10}".prop_map(|text| Piece::Verbatim(format!("$q${text}$q$"))),
    ]
}

proptest! {
    #[test]
    fn pieces_are_numbered_or_left_alone(pieces in proptest::collection::vec(piece(), 0..12)) {
        let mut names: Vec<String> = Vec::new();
        let (mut text, mut expected) = (String::new(), String::new());
        for piece in pieces {
            match piece {
                Piece::Verbatim(verbatim) => {
                    text += &verbatim;
                    expected += &verbatim;
                }
                Piece::Parameter(name) => {
                    if !names.contains(&name) {
                        names.push(name.clone());
                    }
                    let index = names.iter().position(|known| *known == name).unwrap() + 1;
                    text.extend([":", &name]);
                    expected.extend(["$", &index.to_string()]);
                }
            }
            // Blanks keep a word from growing together with what follows it.
            text.push(' ');
            expected.push(' ');
        }
        prop_assert_eq!(numbered(&text, Dialect::Postgres), (expected, names));
    }

    #[test]
    fn any_text_survives_with_its_names_put_back(text in ".{0,60}") {
        for dialect in [Dialect::Postgres, Dialect::Sqlite] {
            let (numbered, names) = numbered(&text, dialect);
            if names.is_empty() {
                prop_assert_eq!(numbered, text.clone());
            }
            for name in names {
                let parameter = format!(":{name}");
                prop_assert!(text.contains(&parameter));
            }
            first_word(&text, dialect);
        }
    }
}
