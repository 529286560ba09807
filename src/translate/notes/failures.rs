//! Meta's codes in plain words (whatsapp-messaging facts §5.2): why a message was not delivered and what
//! the operator can do.

mod rare;

use crate::domain::Language;

#[cfg(test)]
pub use rare::RARE;

/// A reason of one or more codes.
pub struct Entry {
    codes: &'static [(i64, i64)],
    /// Meta's own words say more than ours can.
    pub in_metas_words: bool,
    en: [&'static str; 2],
    ru: [&'static str; 2],
}

impl Entry {
    /// Why; a sentence without its beginning.
    pub fn reason(&self, language: Language) -> &'static str {
        let [reason, _] = self.texts(language);
        reason
    }

    /// What the operator can do.
    pub fn advice(&self, language: Language) -> &'static str {
        let [_, advice] = self.texts(language);
        advice
    }

    fn texts(&self, language: Language) -> [&'static str; 2] {
        match language {
            Language::En => self.en,
            Language::Ru => self.ru,
        }
    }
}

/// The first entry whose ranges hold the code.
pub fn find(code: i64) -> Option<&'static Entry> {
    ENTRIES
        .iter()
        .chain(rare::RARE)
        .find(|entry| entry.codes.iter().any(|(first, last)| (*first..=*last).contains(&code)))
}

/// The table; a narrower range stands before a wider one.
pub const ENTRIES: &[Entry] = &[
    Entry {
        codes: &[(0, 0), (190, 190)],
        in_metas_words: false,
        en: [
            "the access of the bridge to WhatsApp has expired.",
            "Tell your administrator: the access token has to be renewed.",
        ],
        ru: ["доступ моста к WhatsApp истёк.", "Сообщите администратору: нужно обновить токен доступа."],
    },
    Entry {
        codes: &[(1, 2), (131000, 131000), (131016, 131016), (133004, 133004)],
        in_metas_words: false,
        en: ["WhatsApp had a fault of its own.", "Send the message again in a few minutes."],
        ru: ["сбой на стороне WhatsApp.", "Отправьте сообщение снова через несколько минут."],
    },
    Entry {
        codes: &[(3, 3), (10, 10), (104, 104), (200, 299), (131005, 131005)],
        in_metas_words: false,
        en: ["the bridge lacks a permission in the Meta account.", "Tell your administrator."],
        ru: ["у моста нет нужного разрешения в аккаунте Meta.", "Сообщите администратору."],
    },
    Entry {
        codes: &[(4, 4), (17, 17), (613, 613), (80007, 80008)],
        in_metas_words: false,
        en: ["too many requests were made to WhatsApp.", "Send the message again in an hour."],
        ru: ["к WhatsApp было слишком много запросов.", "Отправьте сообщение снова через час."],
    },
    Entry {
        codes: &[(33, 33)],
        in_metas_words: false,
        en: [
            "the business number no longer exists in the Meta account or is not visible to the bridge.",
            "Tell your administrator.",
        ],
        ru: [
            "рабочий номер больше не существует в аккаунте Meta или не виден мосту.",
            "Сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(100, 100), (131008, 131009), (135000, 135000)],
        in_metas_words: true,
        en: [
            "WhatsApp did not accept a part of this message.",
            "Change the message and send it again; if that does not help, tell your administrator.",
        ],
        ru: [
            "WhatsApp не принял часть этого сообщения.",
            "Измените сообщение и отправьте снова; если не поможет, сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(368, 368)],
        in_metas_words: false,
        en: [
            "Meta has restricted the business account for a violation of its rules.",
            "Tell your administrator: the restriction and an appeal are in WhatsApp Manager.",
        ],
        ru: [
            "Meta ограничила бизнес-аккаунт за нарушение правил.",
            "Сообщите администратору: ограничение и апелляция — в WhatsApp Manager.",
        ],
    },
    Entry {
        codes: &[(803, 803)],
        in_metas_words: true,
        en: ["WhatsApp does not know something that this message refers to.", "Tell your administrator."],
        ru: ["WhatsApp не знает объект, на который ссылается сообщение.", "Сообщите администратору."],
    },
    Entry {
        codes: &[(130403, 130403)],
        in_metas_words: false,
        en: [
            "your business has blocked this customer.",
            "Unblock the customer in WhatsApp Manager, then send again.",
        ],
        ru: [
            "ваша компания заблокировала этого клиента.",
            "Разблокируйте клиента в WhatsApp Manager и отправьте снова.",
        ],
    },
    Entry {
        codes: &[(130429, 130429)],
        in_metas_words: false,
        en: [
            "too many messages are going out from this number at the moment.",
            "Send the message again in a minute.",
        ],
        ru: [
            "с этого номера сейчас уходит слишком много сообщений.",
            "Отправьте сообщение снова через минуту.",
        ],
    },
    Entry {
        codes: &[(130472, 130472)],
        in_metas_words: false,
        en: [
            "the customer is part of an experiment of Meta and does not get marketing messages now.",
            "Wait until the customer writes, or use another channel.",
        ],
        ru: [
            "клиент участвует в эксперименте Meta и сейчас не получает рекламные сообщения.",
            "Подождите, пока клиент напишет сам, или используйте другой канал.",
        ],
    },
    Entry {
        codes: &[(130497, 130497)],
        in_metas_words: false,
        en: ["your business may not send messages to the customer's country.", "Use another channel."],
        ru: ["вашей компании нельзя писать в страну клиента.", "Используйте другой канал."],
    },
    Entry {
        codes: &[(131020, 131020), (131041, 131041), (131059, 131059), (131201, 131215)],
        in_metas_words: true,
        en: ["WhatsApp refused a message to a group.", "Tell your administrator."],
        ru: ["WhatsApp отказал в отправке в группу.", "Сообщите администратору."],
    },
    Entry {
        codes: &[(131021, 131021)],
        in_metas_words: false,
        en: ["the receiver is the business number itself.", "Check the customer's number."],
        ru: ["получатель — это сам рабочий номер.", "Проверьте номер клиента."],
    },
    Entry {
        codes: &[(131026, 131026)],
        in_metas_words: false,
        en: [
            "the customer cannot be reached on WhatsApp: not registered, an old version of the app, or the \
             new terms were not accepted.",
            "Check the number, ask the customer to update WhatsApp, or use a call, SMS or e-mail.",
        ],
        ru: [
            "клиент недоступен в WhatsApp: не зарегистрирован, старая версия приложения или не приняты \
             новые условия.",
            "Проверьте номер, попросите клиента обновить WhatsApp или свяжитесь по телефону, SMS или \
             e-mail.",
        ],
    },
    Entry {
        codes: &[(131030, 131030)],
        in_metas_words: false,
        en: [
            "this is a test number, and the receiver is not in its list of allowed numbers.",
            "Tell your administrator: up to five receivers can be added in the app's WhatsApp settings.",
        ],
        ru: [
            "это тестовый номер, и получателя нет в списке разрешённых.",
            "Сообщите администратору: до пяти получателей добавляются в настройках WhatsApp приложения.",
        ],
    },
    Entry {
        codes: &[(131031, 131031)],
        in_metas_words: false,
        en: [
            "Meta has locked the business account.",
            "Tell your administrator: the reason is in WhatsApp Manager.",
        ],
        ru: [
            "Meta заблокировала бизнес-аккаунт.",
            "Сообщите администратору: причина указана в WhatsApp Manager.",
        ],
    },
    Entry {
        codes: &[(131037, 131037)],
        in_metas_words: false,
        en: [
            "the display name of the business number is not approved yet.",
            "Tell your administrator: the name is set in WhatsApp Manager.",
        ],
        ru: [
            "отображаемое имя рабочего номера ещё не одобрено.",
            "Сообщите администратору: имя задаётся в WhatsApp Manager.",
        ],
    },
    Entry {
        codes: &[(131042, 131042), (131044, 131044)],
        in_metas_words: false,
        en: [
            "there is a problem with the payment for WhatsApp.",
            "Tell your administrator: the payment method is checked in Meta Business Suite under Billing.",
        ],
        ru: [
            "проблема с оплатой WhatsApp.",
            "Сообщите администратору: способ оплаты проверяется в Meta Business Suite, раздел «Оплата».",
        ],
    },
    Entry {
        codes: &[(131045, 131045), (133000, 133000), (133010, 133010)],
        in_metas_words: false,
        en: [
            "the business number is not registered with WhatsApp.",
            "Tell your administrator: the number has to be registered again.",
        ],
        ru: [
            "рабочий номер не зарегистрирован в WhatsApp.",
            "Сообщите администратору: номер нужно зарегистрировать снова.",
        ],
    },
    Entry {
        codes: &[(131047, 131047)],
        in_metas_words: false,
        en: [
            "more than 24 hours have passed since the customer's last message.",
            "Send an approved template; when the customer answers you can write freely again.",
        ],
        ru: [
            "с последнего сообщения клиента прошло больше 24 часов.",
            "Отправьте одобренный шаблон; когда клиент ответит, снова можно будет писать свободно.",
        ],
    },
    Entry {
        codes: &[(131048, 131048)],
        in_metas_words: false,
        en: [
            "Meta limits this number because too many customers blocked or reported its messages.",
            "Send fewer messages and tell your administrator: the quality of the number is shown in \
             WhatsApp Manager.",
        ],
        ru: [
            "Meta ограничила этот номер: слишком многие клиенты блокировали его или жаловались.",
            "Отправляйте меньше сообщений и сообщите администратору: качество номера видно в WhatsApp \
             Manager.",
        ],
    },
    Entry {
        codes: &[(131049, 131049)],
        in_metas_words: false,
        en: [
            "Meta chose not to deliver this message, because the customer gets many marketing messages.",
            "Do not repeat it at once: try again after 24 hours at the earliest, or wait until the \
             customer writes.",
        ],
        ru: [
            "Meta решила не доставлять это сообщение: клиент получает много рекламных сообщений.",
            "Не повторяйте сразу: попробуйте не раньше чем через 24 часа или подождите, пока клиент \
             напишет сам.",
        ],
    },
    Entry {
        codes: &[(131050, 131050)],
        in_metas_words: false,
        en: [
            "the customer does not want marketing messages from you.",
            "Do not send marketing to this customer; other templates and replies still arrive.",
        ],
        ru: [
            "клиент отказался от ваших рекламных сообщений.",
            "Не отправляйте этому клиенту рекламу; другие шаблоны и ответы доходят.",
        ],
    },
    Entry {
        codes: &[(131051, 131051)],
        in_metas_words: false,
        en: ["WhatsApp does not support this kind of message.", "Send it as text or as another file."],
        ru: ["WhatsApp не поддерживает такой вид сообщения.", "Отправьте его текстом или другим файлом."],
    },
    Entry {
        codes: &[(131052, 131052)],
        in_metas_words: false,
        en: ["WhatsApp could not load the file.", "Attach the file again and send it."],
        ru: ["WhatsApp не смог загрузить файл.", "Прикрепите файл ещё раз и отправьте."],
    },
    Entry {
        codes: &[(131053, 131053)],
        in_metas_words: false,
        en: [
            "WhatsApp could not use the file: its format, size or encoding does not fit.",
            "Send it in another format, for example JPEG, MP4 or PDF.",
        ],
        ru: [
            "WhatsApp не смог обработать файл: не подходит формат, размер или кодирование.",
            "Отправьте его в другом формате, например JPEG, MP4 или PDF.",
        ],
    },
    Entry {
        codes: &[(131055, 131055), (134100, 134100)],
        in_metas_words: false,
        en: [
            "this way of sending is only for marketing templates.",
            "Choose a marketing template, or tell your administrator.",
        ],
        ru: [
            "этот способ отправки только для рекламных шаблонов.",
            "Выберите рекламный шаблон или сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(131056, 131056)],
        in_metas_words: false,
        en: [
            "too many messages were sent to this customer in a short time.",
            "Wait a few minutes and send the message again.",
        ],
        ru: [
            "за короткое время этому клиенту отправлено слишком много сообщений.",
            "Подождите несколько минут и отправьте снова.",
        ],
    },
    Entry {
        codes: &[(131057, 131057), (2494100, 2494100)],
        in_metas_words: false,
        en: ["Meta is servicing the business number.", "Send the message again in a few minutes."],
        ru: ["Meta обслуживает рабочий номер.", "Отправьте сообщение снова через несколько минут."],
    },
    Entry {
        codes: &[(131060, 131060)],
        in_metas_words: false,
        en: [
            "WhatsApp does not make this message available here.",
            "Open the chat in WhatsApp on the phone.",
        ],
        ru: ["WhatsApp не передаёт это сообщение сюда.", "Откройте чат в WhatsApp на телефоне."],
    },
    Entry {
        codes: &[(131062, 131062)],
        in_metas_words: false,
        en: [
            "the customer hides the phone number, and this kind of message needs it.",
            "Ask the customer for the number, or send another kind of message.",
        ],
        ru: [
            "клиент скрывает номер телефона, а для такого сообщения он нужен.",
            "Попросите у клиента номер или отправьте другое сообщение.",
        ],
    },
    Entry {
        codes: &[(131063, 131063)],
        in_metas_words: false,
        en: ["marketing templates are switched off for this account.", "Tell your administrator."],
        ru: ["рекламные шаблоны для этого аккаунта отключены.", "Сообщите администратору."],
    },
    Entry {
        codes: &[(131064, 131064)],
        in_metas_words: false,
        en: [
            "Meta limits templates for a while, because some were in the wrong category.",
            "Tell your administrator: the categories are shown in WhatsApp Manager.",
        ],
        ru: [
            "Meta временно ограничила шаблоны: некоторые были в неверной категории.",
            "Сообщите администратору: категории видны в WhatsApp Manager.",
        ],
    },
    Entry {
        codes: &[(132000, 132000)],
        in_metas_words: true,
        en: [
            "the number of values does not match the template.",
            "Fill in every value of the template, or tell your administrator.",
        ],
        ru: [
            "число значений не совпадает с шаблоном.",
            "Заполните все значения шаблона или сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(132001, 132001)],
        in_metas_words: true,
        en: [
            "the template does not exist in this language or is not approved (yet).",
            "Choose another template; a new one works a few minutes after its approval.",
        ],
        ru: [
            "шаблона на этом языке нет или он (ещё) не одобрен.",
            "Выберите другой шаблон; новый начинает работать через несколько минут после одобрения.",
        ],
    },
    Entry {
        codes: &[(132005, 132005)],
        in_metas_words: false,
        en: ["the template is too long with these values.", "Shorten the values and send again."],
        ru: ["шаблон с этими значениями слишком длинный.", "Сократите значения и отправьте снова."],
    },
    Entry {
        codes: &[(132007, 132007)],
        in_metas_words: true,
        en: [
            "the template breaks Meta's rules for content.",
            "Choose another template and tell your administrator.",
        ],
        ru: [
            "шаблон нарушает правила Meta о содержании.",
            "Выберите другой шаблон и сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(132008, 132008), (132012, 132012), (132018, 132018)],
        in_metas_words: true,
        en: [
            "a value does not fit the template.",
            "Check the values (no line breaks, no long gaps) and send again.",
        ],
        ru: [
            "значение не подходит к шаблону.",
            "Проверьте значения (без переносов строк и длинных пробелов) и отправьте снова.",
        ],
    },
    Entry {
        codes: &[(132015, 132015)],
        in_metas_words: false,
        en: [
            "Meta has paused the template because of low quality.",
            "Choose another template, or try again in a few hours.",
        ],
        ru: [
            "Meta приостановила шаблон из-за низкого качества.",
            "Выберите другой шаблон или попробуйте через несколько часов.",
        ],
    },
    Entry {
        codes: &[(132016, 132016)],
        in_metas_words: false,
        en: ["Meta has disabled the template because of low quality.", "Choose another template."],
        ru: ["Meta отключила шаблон из-за низкого качества.", "Выберите другой шаблон."],
    },
    Entry {
        codes: &[(132068, 132069)],
        in_metas_words: false,
        en: ["the form (flow) in this message is blocked or sent too often.", "Tell your administrator."],
        ru: [
            "форма (flow) в этом сообщении заблокирована или отправляется слишком часто.",
            "Сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(132000, 132999)],
        in_metas_words: true,
        en: ["there is a problem with the template.", "Choose another template, or tell your administrator."],
        ru: ["проблема с шаблоном.", "Выберите другой шаблон или сообщите администратору."],
    },
    Entry {
        codes: &[(133005, 133009), (133015, 133016)],
        in_metas_words: false,
        en: ["the registration of the business number is not complete.", "Tell your administrator."],
        ru: ["регистрация рабочего номера не завершена.", "Сообщите администратору."],
    },
    Entry {
        codes: &[(134011, 134011)],
        in_metas_words: false,
        en: ["the terms of WhatsApp payments are not accepted.", "Tell your administrator."],
        ru: ["не приняты условия платежей WhatsApp.", "Сообщите администратору."],
    },
    Entry {
        codes: &[(134101, 134102)],
        in_metas_words: false,
        en: [
            "the template is not ready for this way of sending.",
            "Try again in ten minutes; if this goes on, tell your administrator.",
        ],
        ru: [
            "шаблон ещё не готов для этого способа отправки.",
            "Попробуйте через десять минут; если это повторяется, сообщите администратору.",
        ],
    },
    Entry {
        codes: &[(137000, 137000)],
        in_metas_words: false,
        en: [
            "the customer's security code has changed, so the message was held back.",
            "Make sure that it is still the same person, then send again.",
        ],
        ru: [
            "код безопасности клиента изменился, поэтому сообщение задержано.",
            "Убедитесь, что это тот же человек, и отправьте снова.",
        ],
    },
];
