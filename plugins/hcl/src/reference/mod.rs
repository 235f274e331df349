//! Compares this crate with Go's hashicorp/hcl, the reader of SPIRE (module version v1.0.1-vault-7,
//! as SPIRE has it since 1.11.1).
//!
//! The program under `tests/lab/hclref` is found by the variable `HCLREF`, or built once into the
//! cache.

mod differences;
mod edits;
pub(crate) mod generate;
mod go;
mod tree;

use serde_json::Value;

use self::go::{Answers, ask};
use crate::tree::{Document, Language};
use crate::{MAX_DEPTH, Reason};

/// The texts that are read in a real deployment.
pub(crate) const SAMPLES: [(&str, &str); 7] = [
    ("chart-agent.conf", include_str!("../../testdata/chart-agent.conf")),
    ("chart-server.conf", include_str!("../../testdata/chart-server.conf")),
    ("manual-agent.conf", include_str!("../../testdata/manual-agent.conf")),
    ("manual-server.conf", include_str!("../../testdata/manual-server.conf")),
    ("plugin-data.hcl", include_str!("../../testdata/plugin-data.hcl")),
    ("plugin-data.json", include_str!("../../testdata/plugin-data.json")),
    ("every-form.hcl", include_str!("../../testdata/every-form.hcl")),
];

/// Counts of a comparison of many texts.
#[derive(Debug, Default)]
struct Tally {
    same: usize,
    both_refuse: usize,
    different: usize,
}

impl Tally {
    fn add(&mut self, text: &str, answer: &Value) {
        match comparison(text, answer) {
            Comparison::Same => self.same += 1,
            Comparison::BothRefuse => self.both_refuse += 1,
            Comparison::Known => self.different += 1,
            Comparison::Wrong(why) => {
                panic!("{why}\ntext: {text:?}\ngo: {answer}\nhere: {:?}", Document::parse(text))
            }
        }
    }
}

enum Comparison {
    Same,
    BothRefuse,
    /// A difference that `differences.rs` lists.
    Known,
    Wrong(&'static str),
}

fn comparison(text: &str, answer: &Value) -> Comparison {
    match (Document::parse(text), answer.get("tree")) {
        (Err(_), None) => Comparison::BothRefuse,
        (Ok(document), Some(theirs)) => {
            let ours = tree::outline(&document);
            if ours == *theirs {
                Comparison::Same
            } else if differences::tree_on_purpose(&document, &ours, theirs) {
                Comparison::Known
            } else {
                Comparison::Wrong("the trees differ")
            }
        }
        (Ok(document), None) => {
            match document.language == Language::Hcl && differences::has_null(&document.root) {
                true => Comparison::Known,
                false => Comparison::Wrong("Go refuses what is taken here"),
            }
        }
        (Err(error), Some(_)) => match differences::refused_on_purpose(text, error.reason()) {
            true => Comparison::Known,
            false => Comparison::Wrong("Go takes what is refused here"),
        },
    }
}

fn compare<'t>(texts: impl IntoIterator<Item = &'t str>) -> Tally {
    let texts: Vec<&str> = texts.into_iter().collect();
    let mut tally = Tally::default();
    for (text, answer) in texts.iter().zip(ask("tree", &texts)) {
        tally.add(text, &answer);
    }
    tally
}

#[test]
fn samples_have_the_same_tree() {
    let crlf: Vec<String> = SAMPLES.iter().map(|(_, text)| text.replace('\n', "\r\n")).collect();
    let tally = compare(SAMPLES.iter().map(|(_, text)| *text).chain(crlf.iter().map(String::as_str)));
    assert_eq!(tally.same, 2 * SAMPLES.len(), "{tally:?}");
}

#[test]
fn generated_texts_have_the_same_tree_or_are_refused_by_both() {
    const EACH: usize = 3_500;
    let mut generator = generate::Generator::new(0x6b65_796c_696d_6500);
    let mut texts = Vec::new();
    for _ in 0..EACH {
        texts.extend([generator.hcl(), generator.json(), generator.tokens()]);
        texts.push(generator.mutated(SAMPLES.map(|(_, text)| text).as_slice()));
        let valid = [generator.hcl(), generator.json()];
        texts.push(generator.mutated(&valid.each_ref().map(String::as_str)));
    }
    let tally = compare(texts.iter().map(String::as_str));
    println!("{tally:?}");
    assert_eq!(tally.same + tally.both_refuse + tally.different, 5 * EACH);
    assert!(tally.same > 2 * EACH, "the generator makes too few good texts: {tally:?}");
    assert!(tally.both_refuse > EACH, "the generator makes too few bad texts: {tally:?}");
    assert!(tally.different < EACH, "the listed differences are no longer few: {tally:?}");
}

/// A text that SPIRE prints from JSON means the same as the JSON.
#[test]
fn texts_printed_by_go_from_json_mean_the_same() {
    let mut generator = generate::Generator::new(2);
    let mut texts: Vec<String> = (0..2_000).map(|_| generator.plugin_data()).collect();
    texts.push(SAMPLES[5].1.to_owned());
    let mut answers: Answers = ask("print", &texts);
    assert_eq!(texts.len(), answers.len());
    for (text, answer) in texts.iter().zip(&mut answers) {
        let printed = answer["text"].as_str().unwrap_or_else(|| panic!("{text}\n{answer}"));
        let read = Document::parse(printed).unwrap_or_else(|error| panic!("{error}\n{text}\n{printed}"));
        let json = Document::parse(text).unwrap();
        assert_eq!(tree::meaning(&read), tree::meaning(&json), "{text}\n{printed}");
    }
}

/// The listed differences, each one looked at: what Go does, and what is done here.
#[test]
fn listed_differences_are_as_described() {
    let texts = differences::LISTED.map(|difference| difference.text.to_owned());
    for (difference, answer) in differences::LISTED.iter().zip(ask("tree", &texts)) {
        let theirs = answer.get("tree").map(ToString::to_string);
        let ours = Document::parse(difference.text);
        assert_eq!(theirs.as_deref(), difference.go, "{}: {answer}", difference.text);
        match difference.here {
            Ok(tree) => assert_eq!(tree::outline(&ours.unwrap()).to_string(), tree, "{}", difference.text),
            Err(text) => assert!(ours.unwrap_err().to_string().contains(text), "{}", difference.text),
        }
        assert!(matches!(comparison(difference.text, &answer), Comparison::Known), "{}", difference.text);
    }
}

/// Go has no limits; here they hold at the number that the error names, and not before.
#[test]
fn limits_hold() {
    let nested = |levels: usize| format!("{}{}", "a {".repeat(levels), "}".repeat(levels));
    let lists = |levels: usize| format!("a = {}{}", "[".repeat(levels), "]".repeat(levels));
    let keys = |levels: usize| format!("{}{{}}", "a ".repeat(levels));
    let json = |levels: usize| format!("{}{}{}", "{\"a\":".repeat(levels - 1), "{}", "}".repeat(levels - 1));
    for make in [&nested as &dyn Fn(usize) -> String, &lists, &keys, &json] {
        assert!(Document::parse(&make(MAX_DEPTH)).is_ok(), "{}", make(3));
        assert_eq!(
            *Document::parse(&make(MAX_DEPTH + 1)).unwrap_err().reason(),
            Reason::TooDeep,
            "{}",
            make(3)
        );
        assert_eq!(*Document::parse(&make(100_000)).unwrap_err().reason(), Reason::TooDeep, "{}", make(3));
    }
    let padded = |length: usize| format!("a = 1{}", " ".repeat(length - 5));
    assert!(Document::parse(&padded(crate::MAX_TEXT)).is_ok());
    let error = Document::parse(&padded(crate::MAX_TEXT + 1)).unwrap_err();
    assert_eq!(*error.reason(), Reason::TooLarge(crate::MAX_TEXT + 1));
    assert!(error.to_string().contains("1048576"), "{error}");
}

#[test]
fn durations_are_read_as_go_reads_them() {
    let mut generator = generate::Generator::new(3);
    let texts: Vec<String> = (0..3_000).map(|_| generator.duration()).collect();
    for (text, answer) in texts.iter().zip(ask("duration", &texts)) {
        let theirs = answer["nanoseconds"].as_i64().and_then(|nanoseconds| u64::try_from(nanoseconds).ok());
        let ours = crate::duration::tests::nanoseconds(text);
        // Go works out fractions in floating point.
        let near = ours.zip(theirs).is_some_and(|(ours, theirs)| ours.abs_diff(theirs) <= 1);
        let negative_zero = text.starts_with('-') && theirs == Some(0) && ours.is_none();
        assert!(near || ours == theirs || negative_zero, "{text}: {ours:?} {answer}");
    }
}
