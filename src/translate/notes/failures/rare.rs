//! Codes that no ordinary message meets: setting up, calls, templates under review. Doctor and API show them.

use super::Entry;

const TELL: [&str; 2] = ["Tell your administrator.", "Сообщите администратору."];

const fn entry(
    codes: &'static [(i64, i64)],
    [en, ru]: [&'static str; 2],
    [en_advice, ru_advice]: [&'static str; 2],
) -> Entry {
    Entry { codes, in_metas_words: true, en: [en, en_advice], ru: [ru, ru_advice] }
}

/// Asked after the table of ordinary failures.
pub const RARE: &[Entry] = &[
    entry(
        &[(138000, 138018)],
        ["a call was refused by WhatsApp.", "WhatsApp отклонил звонок."],
        [
            "Look at the number's call settings and the customer's permission to be called.",
            "Проверьте настройки звонков номера и разрешение клиента на звонок.",
        ],
    ),
    entry(
        &[(139000, 139004)],
        ["a form (flow) could not be set up.", "не удалось настроить форму (flow)."],
        ["Correct the form in WhatsApp Manager.", "Исправьте форму в WhatsApp Manager."],
    ),
    entry(
        &[(139100, 139103)],
        [
            "the block list of the number could not be changed.",
            "не удалось изменить список блокировки номера.",
        ],
        ["Try again later.", "Повторите попытку позже."],
    ),
    entry(
        &[(147001, 147005)],
        ["the user name of the business was not accepted.", "имя пользователя компании не принято."],
        ["Choose another user name.", "Выберите другое имя пользователя."],
    ),
    entry(
        &[(200005, 200007)],
        ["statistics of templates are not available.", "статистика шаблонов недоступна."],
        ["Switch them on in WhatsApp Manager.", "Включите её в WhatsApp Manager."],
    ),
    entry(
        &[(1752041, 1752041)],
        ["the account is in this programme of Meta already.", "аккаунт уже участвует в этой программе Meta."],
        ["There is nothing to be done.", "Ничего делать не нужно."],
    ),
    entry(
        &[(2388001, 2388001), (2388012, 2388012), (2388091, 2388091), (2388093, 2388093), (2388103, 2388103)],
        ["the number could not be moved to this account.", "не удалось перенести номер в этот аккаунт."],
        TELL,
    ),
    entry(
        &[(2388019, 2388019)],
        ["the account has as many templates as it may have.", "в аккаунте уже предельное число шаблонов."],
        ["Delete templates that are not used.", "Удалите неиспользуемые шаблоны."],
    ),
    entry(
        &[(2388040, 2388040)],
        ["a text of the template is too long.", "текст шаблона слишком длинный."],
        ["Make it shorter.", "Сократите его."],
    ),
    entry(
        &[(2388047, 2388047), (2388072, 2388073)],
        [
            "header, body or footer of the template is not in the right form.",
            "заголовок, текст или подвал шаблона оформлены неверно.",
        ],
        [
            "Correct it as Meta's sentence says and hand it in again.",
            "Исправьте согласно пояснению Meta и отправьте снова.",
        ],
    ),
    entry(
        &[(2388293, 2388293)],
        [
            "the template has too many variables for its text.",
            "в шаблоне слишком много переменных для его текста.",
        ],
        ["Use more words or fewer variables.", "Добавьте слов или уберите переменные."],
    ),
    entry(
        &[(2388299, 2388299)],
        [
            "a variable stands at the start or the end of the template.",
            "переменная стоит в начале или в конце шаблона.",
        ],
        ["Put words before and after it.", "Добавьте слова до и после неё."],
    ),
    entry(
        &[(2593107, 2593109)],
        [
            "the history of the WhatsApp Business app cannot be taken over.",
            "историю приложения WhatsApp Business нельзя перенести.",
        ],
        TELL,
    ),
];
