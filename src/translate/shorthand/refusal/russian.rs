//! The sentences of refusals in Russian.

use super::{Refusal, first, listed, short};
use crate::domain::Language;

impl Refusal {
    pub(super) fn russian(&self) -> String {
        match self {
            Self::NameMissing => "Не указано имя шаблона".into(),
            Self::NoTemplates => {
                "Для этого номера не известно ни одного шаблона; попросите администратора загрузить их".into()
            }
            Self::UnknownName { name, nearest } if nearest.is_empty() => {
                format!("Нет шаблона «{}»", short(name))
            }
            Self::UnknownName { name, nearest } => {
                format!("Нет шаблона «{}»; возможно, вы имели в виду: {}", short(name), nearest.join(", "))
            }
            Self::NoLanguage { name, language, there } => {
                format!("{name} нет на языке {}; есть: {}", short(language), there.join(", "))
            }
            Self::LanguageMissing { name, there } => {
                format!("Для {name} нужен язык, например {name}+{}; есть: {}", first(there), there.join(", "))
            }
            Self::Status { template, status, reason } => match reason {
                Some(reason) => format!("{template} нельзя отправить: его статус {status}, причина {reason}"),
                None => format!("{template} нельзя отправить: его статус {status}"),
            },
            Self::Unsupported { template, part } => {
                format!("{template} нельзя отправить строкой: в нём есть часть {part}")
            }
            Self::Count { template, needs: 0, given, .. } => {
                format!("{template}: значения не нужны, указано: {given}")
            }
            Self::Count { template, needs, given, missing } => {
                format!(
                    "{template}: нужно значений: {needs}, указано: {given}{}",
                    listed("; не хватает ", missing)
                )
            }
            Self::ValueEmpty { template, variable } => {
                format!("{template}: значение {{{{{variable}}}}} пустое")
            }
            Self::ValueTwice { template, variable } => {
                format!("{template}: у {{{{{variable}}}}} два значения")
            }
            Self::UnknownVariable { template, name, there } => {
                format!("{template}: нет переменной «{}»; есть: {}", short(name), there.join(", "))
            }
            Self::TooLong { template, part, limit, length } => {
                let part = part.name(Language::Ru);
                format!(
                    "{template}: {part} содержит символов: {length}, WhatsApp принимает не больше {limit}"
                )
            }
            Self::FileMissing { template, kind } => {
                format!(
                    "Для {template} нужен файл ({kind}) в заголовок: добавьте file_link:https://… или вложите его"
                )
            }
            Self::FileNotTaken { template } => format!("{template} не принимает файл: уберите file_link"),
            Self::FileKind { template, wanted, given } => {
                format!("Для {template} нужен файл вида {wanted} в заголовок, а это {}", short(given))
            }
            Self::TwoFiles => "Можно указать только один файл".into(),
            Self::BadLink { link } if link.is_empty() => "Не указан адрес файла".into(),
            Self::BadLink { link } => {
                format!("«{}» не адрес (https://…) и не номер файла на диске", short(link))
            }
            Self::FileUnavailable { reason } => format!("Файл не удалось получить: {}", short(reason)),
            Self::FileTooLarge { template, megabytes } => {
                format!("Файл слишком велик для заголовка {template}: WhatsApp принимает до {megabytes} МБ")
            }
            Self::OptedOut { template } => {
                format!("{template} – реклама, а этот клиент отказался от рекламных сообщений")
            }
            Self::FilesAttached { template } => {
                format!("{template} не принимает файл: отправьте вложение отдельным сообщением")
            }
            Self::UnknownOrder { order } => {
                let order = short(order);
                format!(
                    "«{order}» не команда: hold-cancel отменяет последний отложенный текст, hold-cancel+all все"
                )
            }
            Self::OnlyInLine => "hold-cancel работает только в открытой линии".into(),
            Self::HeaderTextMissing { template } => {
                format!(
                    "В заголовке {template} есть переменная: используйте &((template=[[…]] header_text=[[…]] …))&"
                )
            }
            Self::HeaderTextNotTaken { template } => {
                format!("В заголовке {template} нет переменной: уберите header_text")
            }
            Self::ButtonParamMissing { template, number, label } => {
                let number = if *number == 1 { String::new() } else { number.to_string() };
                format!(
                    "Для {template} нужен конец адреса кнопки «{}»: добавьте button_param{number}:…",
                    short(label)
                )
            }
            Self::CodeMissing { template, label } => {
                format!("Для {template} нужен код кнопки «{}»: добавьте code:…", short(label))
            }
            Self::NoButton { template, part } => format!("В {template} нет кнопки для {part}"),
            Self::ButtonGiven { template, part, twice: true } => format!("{template}: {part} указано дважды"),
            Self::ButtonGiven { template, part, twice: false } => format!("{template}: {part} пустое"),
            Self::CodesDiffer { template } => format!("{template}: код в тексте и код кнопки различаются"),
            Self::NotClosed { end } => format!("Нет окончания «{end}»"),
            Self::BracketBroken { at } => {
                format!("Ожидалось ключ=[[значение]] или ))& перед «{}»", short(at))
            }
            Self::UnknownKey { key } => format!("Нет ключа «{}»", short(key)),
            Self::KeyTwice { key } => format!("Ключ «{}» указан дважды", short(key)),
            Self::BadIndex { index } => format!("button_index «{}» не число", short(index)),
            Self::TextBehind { text } => format!("После окончания есть текст: «{}»", short(text)),
            Self::PartLooksLike => {
                "Текст длинный, и одна из его частей начиналась бы как шаблон; поставьте что-нибудь перед ней"
                    .into()
            }
            Self::NotAFallback { template } => {
                format!(
                    "{template} не может передать текст: нужна ровно одна переменная, в теле, и больше ничего"
                )
            }
        }
    }
}
