//! The work of an edit grows with the text's length and no faster, also where every attestor goes.
//!
//! Measured in CPU time of the thread, which other programs have no part in, against that of
//! reading the same text: reading looks at each byte a few times, and a look at all of the text for
//! each of its attestors is far more.

use std::fs;

use super::tests::{element, small};
use super::*;

const ATTESTORS: usize = 30_000;

fn spent() -> u64 {
    let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let start = spent();
    (work(), spent() - start)
}

fn joined(separator: &str, one: impl Fn(usize) -> String) -> String {
    let all: Vec<String> = (0..ATTESTORS).map(one).collect();
    all.join(separator)
}

#[test]
fn no_attestor_costs_a_look_at_all_of_the_text() {
    let data = small();
    let wanted = render::Element::new(&element(&data)).unwrap();
    for text in [
        format!("plugins {{ {} }}", joined(" ", |i| format!("NodeAttestor \"n{i}\" {{}}"))),
        joined(" ", |i| format!("plugins \"NodeAttestor\" \"{i}\" {{}}")),
        format!("plugins {{ NodeAttestor {{ {} }} }}", joined(" ", |i| format!("n{i} {{}}"))),
        format!("{{\"plugins\":{{{}}}}}", joined(",", |i| format!("\"NodeAttestor\":{{\"n{i}\":{{}}}}"))),
        format!("{{\"plugins\":[{}]}}", joined(",", |i| format!("{{\"NodeAttestor\":{{\"{i}\":{{}}}}}}"))),
        format!("{{\"plugins\":{{\"NodeAttestor\":[{}]}}}}", joined(",", |i| format!("{{\"n{i}\":{{}}}}"))),
    ] {
        assert!(text.len() < MAX_TEXT, "{}", text.len());
        let (document, reading) = timed(|| Document::parse(&text).unwrap());
        let (plugins, finding) = timed(|| Plugins::find(&document).unwrap());
        for (placement, name) in [(Placement::Sole, "sole"), (Placement::Beside, "beside")] {
            let (edits, editing) = timed(|| edits(&text, &document, &plugins, &wanted, placement));
            let (edited, splicing) = timed(|| spliced(&text, &edits).unwrap());
            let after = Document::parse(&edited).unwrap();
            let ((), checking) = timed(|| {
                check::edited(&plugins, &document, &after, Some(&wanted), "keylime", placement).unwrap();
            });
            let (_, removing) = timed(|| match document.language {
                Language::Hcl => hcl::remove(&text, &plugins, "n29999"),
                Language::Json => json::remove(&text, &document, &plugins, "n29999"),
            });
            // A busy machine's caches are cold for one and warm for the other.
            for time in [finding, editing, splicing, removing, checking] {
                assert!(
                    time / 10 < reading,
                    "{name}: reading {reading} ns, finding {finding}, editing {editing}, splicing {splicing}, \
                     checking {checking}, removing {removing}: {}",
                    &text[..60]
                );
            }
        }
    }
}
