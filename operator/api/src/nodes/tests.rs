use super::*;

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelectorRequirement {
    let values = values.iter().map(|value| (*value).to_owned()).collect();
    LabelSelectorRequirement { key: key.to_owned(), operator: operator.to_owned(), values: Some(values) }
}

#[test]
fn a_selector_wants_all_of_its_labels() {
    let match_labels = labels(&[("a", "1"), ("b", "")]);
    let selector = NodeSelector { match_labels, ..NodeSelector::default() };
    assert!(selector.selects(&labels(&[("a", "1"), ("b", ""), ("c", "3")])));
    assert!(!selector.selects(&labels(&[("a", "1")])));
    assert!(!selector.selects(&labels(&[("a", "2"), ("b", "")])));
    assert!(NodeSelector::default().selects(&labels(&[])));
}

#[test]
fn a_selector_wants_all_of_its_expressions() {
    let match_expressions = vec![
        expression("pool", "In", &["a", "b"]),
        expression("zone", "NotIn", &["x"]),
        expression("tpm", "Exists", &[]),
        expression("virtual", "DoesNotExist", &[]),
    ];
    let selector = NodeSelector { match_labels: labels(&[("a", "1")]), match_expressions };
    let good = [("a", "1"), ("pool", "b"), ("tpm", "")];
    assert!(selector.selects(&labels(&good)));
    assert!(selector.selects(&labels(&[good.as_slice(), &[("zone", "y")]].concat())));
    for bad in [("a", "2"), ("pool", "c"), ("zone", "x"), ("virtual", "")] {
        assert!(!selector.selects(&labels(&[good.as_slice(), &[bad]].concat())), "{bad:?}");
    }
    assert!(!selector.selects(&labels(&[("a", "1"), ("pool", "a")])));
}

#[test]
fn an_expression_that_cannot_be_read_selects_no_node() {
    for match_expressions in [vec![expression("a", "Gt", &["1"])], vec![expression("a", "", &[])]] {
        let selector = NodeSelector { match_expressions, ..NodeSelector::default() };
        assert!(!selector.selects(&labels(&[("a", "2")])));
    }
}
