//! Words by which a person ends marketing messages, and takes them up again. Only a message that is nothing else
//! counts: whoever writes "stop the delivery" wants something other.

/// What a person wishes about marketing messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarketingWish {
    /// No more of them.
    Stop,
    /// Again.
    Resume,
}

/// Words of a language, in lower case.
struct Words {
    language: &'static str,
    stop: &'static [&'static str],
    resume: &'static [&'static str],
}

const WORDS: &[Words] = &[
    Words {
        language: "en",
        stop: &["stop", "stop all", "unsubscribe", "opt out", "stop promotions"],
        resume: &["start", "unstop", "subscribe", "opt in"],
    },
    Words {
        language: "ru",
        stop: &["стоп", "отписаться", "отписка", "отпишите меня", "не присылайте"],
        resume: &["старт", "подписаться"],
    },
    Words {
        language: "uk", stop: &["стоп", "відписатися", "відписка"], resume: &["старт", "підписатися"]
    },
    Words { language: "kk", stop: &["тоқта", "бас тарту"], resume: &["бастау"] },
    Words { language: "de", stop: &["stopp", "abmelden", "abbestellen"], resume: &["anmelden"] },
    Words { language: "es", stop: &["parar", "alto", "baja", "cancelar suscripción"], resume: &["alta"] },
    Words {
        language: "fr",
        stop: &["arrêt", "arret", "désabonner", "se désabonner"],
        resume: &["s'abonner"],
    },
    Words { language: "pt", stop: &["parar", "sair", "descadastrar"], resume: &["voltar"] },
    Words { language: "it", stop: &["basta", "disiscrivimi", "annulla iscrizione"], resume: &["iscrivimi"] },
    Words { language: "pl", stop: &["rezygnuję", "wypisz", "wypisz mnie"], resume: &["zapisz mnie"] },
    Words { language: "tr", stop: &["dur", "iptal", "abonelikten çık"], resume: &["başla"] },
    Words { language: "id", stop: &["berhenti", "henti"], resume: &["mulai"] },
];

/// Languages that have a list.
pub fn languages() -> impl Iterator<Item = &'static str> {
    WORDS.iter().map(|words| words.language)
}

/// What a whole message wishes, by the lists of these languages (`en,ru`).
pub fn wish(text: &str, languages: &str) -> Option<MarketingWish> {
    let plain =
        text.trim().trim_matches(|c: char| c.is_ascii_punctuation() || c.is_whitespace()).to_lowercase();
    if plain.is_empty() || plain.chars().count() > 40 {
        return None;
    }
    let wanted = |words: &&Words| languages.split(',').any(|language| language.trim() == words.language);
    for words in WORDS.iter().filter(wanted) {
        if words.stop.contains(&plain.as_str()) {
            return Some(MarketingWish::Stop);
        }
        if words.resume.contains(&plain.as_str()) {
            return Some(MarketingWish::Resume);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_that_is_nothing_else_is_a_wish() {
        assert_eq!(wish(" STOP! ", "en"), Some(MarketingWish::Stop));
        assert_eq!(wish("Стоп", "en,ru"), Some(MarketingWish::Stop));
        assert_eq!(wish("start", "en"), Some(MarketingWish::Resume));
        for no in ["stop the delivery", "", "!!!", "please"] {
            assert_eq!(wish(no, "en,ru"), None, "{no}");
        }
    }

    #[test]
    fn a_list_counts_only_where_its_language_is_switched_on() {
        assert_eq!(wish("stop", ""), None);
        assert_eq!(wish("Стоп", "en"), None);
        assert_eq!(languages().count(), 12);
    }
}
