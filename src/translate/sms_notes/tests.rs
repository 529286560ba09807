//! Every reason has its sentence, and the documentation lists it.

use super::*;

/// One of each.
pub fn every_refusal() -> Vec<SmsRefusal> {
    use SmsRefusal::*;
    let number = |fault| Number { text: "12".into(), fault };
    let code = "wa_1".to_owned();
    let mut all = vec![UnknownSender { code }, NotLinked, SwitchedOff];
    all.extend(
        [
            NumberFault::NoNumber,
            NumberFault::Length,
            NumberFault::CountryCode,
            NumberFault::NotOf("RU".into()),
            NumberFault::NoCountry,
        ]
        .map(number),
    );
    let reason = "REASON".to_owned();
    all.extend([Empty, TooLong { length: 5000 }, WindowClosed, Shorthand { reason: reason.clone() }]);
    all.extend([Fallback { reason }, GivenUp]);
    all
}

#[test]
fn every_refusal_has_a_sentence_of_its_own_in_both_languages() {
    for language in [Language::En, Language::Ru] {
        let texts: std::collections::BTreeSet<String> =
            every_refusal().iter().map(|one| refusal(one, language)).collect();
        assert_eq!(texts.len(), every_refusal().len());
    }
    assert!(every_refusal().iter().all(|one| {
        matches!(one, SmsRefusal::Shorthand { .. })
            || refusal(one, Language::En) != refusal(one, Language::Ru)
    }));
}

#[test]
fn every_refusal_is_in_the_documentation() {
    let docs = include_str!("../../../docs/sms.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for one in every_refusal().iter().filter(|one| !matches!(one, SmsRefusal::Shorthand { .. })) {
        let text =
            refusal(one, Language::En).replace("12:", "…:").replace("5000", "…").replace("REASON", "…");
        let text = text.replace("wa_1", "…").replace("of RU.", "of ….");
        assert!(docs.contains(&text), "docs/sms.md lacks: {text}");
    }
}

#[test]
fn what_users_wrote_is_no_markup() {
    let note = in_line("[b]x[/b] *bold*", Language::En);
    assert!(note.ends_with("[b]bold[/b]"), "{note}");
    assert!(!note.contains("[b]x"), "{note}");
    assert!(!refused_comment("[url=x]1[/url]", "r", Language::Ru).contains("[url=x]"));
}
