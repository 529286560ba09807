//! Every BBCode of the fact sheet, and what is none.

use super::*;

#[test]
fn every_tag_of_the_portal_has_its_form() {
    for (bbcode, shown) in [
        ("[b]bold[/b]", "*bold*"),
        ("[B]bold[/B]", "*bold*"),
        ("[i]x[/i] [s]y[/s] [u]z[/u]", "_x_ ~y~ z"),
        ("[b][i]x[/i][/b]", "*_x_*"),
        ("[b] x [/b]y", " *x* y"),
        ("[b]one\ntwo\n\n three[/b]", "*one*\n*two*\n\n *three*"),
        ("[b][/b]", ""),
        ("[b]a [b]b[/b][/b]", "*a b*"),
        ("un[b]believ[/b]able", "unbelievable"),
        ("([b]x[/b])", "(*x*)"),
        ("[code]let x = [b]1[/b];[/code]", "```let x = [b]1[/b];```"),
        ("[code]\na\nb\n[/code]", "```a\nb```"),
        ("[url]https://example.com[/url]", "https://example.com"),
        ("[url=https://example.com]site[/url]", "site (https://example.com)"),
        ("[url=https://example.com/]example.com[/url]", "https://example.com/"),
        ("[URL=https://example.com][b]site[/b][/URL]", "*site* (https://example.com)"),
        ("[url=mailto:a@example.com]a@example.com[/url]", "a@example.com"),
        ("[url=https://example.com][/url]", "https://example.com"),
        ("[user=5]Anna Lee[/user], hi", "Anna Lee, hi"),
        ("[USER=5][/USER]hi", "hi"),
        ("[USER=5 REPLACE]Anna[/USER]", "Anna"),
        ("[chat=12]Sales[/chat]", "Sales"),
        ("[context=chat12/345]this[/context]", "this"),
        ("[size=20][color=#ff0000]big red[/color][/size]", "big red"),
        ("[img size=medium]https://example.com/a.png [/img]", "https://example.com/a.png"),
        ("[img]https://example.com/a.png[/img]", "https://example.com/a.png"),
        ("a[icon=https://example.com/i.png size=20 title=Smile here]b", "aSmile hereb"),
        ("[icon=https://example.com/i.png title=Wink size=20]", "Wink"),
        ("[send=/menu]Menu[/send] [put=/x][/put]", "Menu /x"),
        ("[call=+79990000000]call us[/call]", "call us (+79990000000)"),
        ("[call=+79990000000]+7 999 000-00-00[/call]", "+7 999 000-00-00"),
        ("[call]+79990000000[/call]", "+79990000000"),
        ("[timestamp=1749416383 format=HH]", "08.06.2025 20:59 UTC"),
        ("[disk=12]file[attach=3]", "file"),
        ("[rating=3]", "⭐⭐⭐"),
        ("[pch=1]x[/pch]", "x"),
        ("[like][dislike]", "👍👎"),
        ("a[br]b [BR]c#BR#d", "a\nb \nc\nd"),
        (":f09f9880: ok", "😀 ok"),
        ("[b]:f09f9880:[/b]", "*😀*"),
        ("[quote]one\ntwo[/quote]three", "> one\n> two\nthree"),
        ("before[quote]one[/quote]\nafter", "before\n> one\nafter"),
        ("[quote]a[quote]b[/quote][/quote]", "> ab"),
    ] {
        assert_eq!(to_whatsapp(bbcode), shown, "{bbcode}");
    }
}

#[test]
fn what_is_no_tag_stays_as_typed() {
    for text in [
        "[1] first",
        "a[i",
        "[b]not closed",
        "closed only[/b]",
        "[ b ]x[ /b ]",
        "[unknown]x[/unknown]",
        "[]",
        "[[",
        "]",
        "[b\n]x[/b]",
        "[user]x[/user]",
        "[b=1]x[/b]",
        "[timestamp=soon]",
        "[rating=many]",
        "[code]x",
        ":f09f98:",
        ":ffffffff:",
        ":00000000:",
        ":61626364:",
        "a * b _ c",
        "[брак]",
        "[x][y]",
    ] {
        assert_eq!(to_whatsapp(text), text);
    }
}

#[test]
fn tags_that_cross_each_other_lose_no_text() {
    assert_eq!(to_whatsapp("[b]a [i]b[/b] c[/i]"), "*a [i]b* c[/i]");
    assert_eq!(to_whatsapp("[b][b][b]x[/b]"), "[b][b]*x*");
}

#[test]
fn a_copied_text_of_a_customer_comes_back_as_the_customer_typed_it() {
    for typed in ["[b]x[/b] :f09f9880: #BR#", ">>a", "------------------------------------------------------"]
    {
        assert_eq!(to_whatsapp(&super::super::neutralise(typed)), typed);
    }
}

#[test]
fn deeply_nested_and_unclosed_tags_are_quick() {
    for (open, close) in
        [("[b]", "[/b]"), ("[quote]", "[/quote]"), ("[url=x]", "[/url]"), ("[i][b]", "[/b][/i]")]
    {
        let text = format!("{}x{}", open.repeat(3_000), close.repeat(3_000));
        to_whatsapp(&text);
        assert_eq!(to_whatsapp(&open.repeat(3_000)), open.repeat(3_000));
        assert_eq!(to_whatsapp(&close.repeat(3_000)), close.repeat(3_000));
    }
    assert_eq!(to_whatsapp(&"[".repeat(20_000)).len(), 20_000);
    assert_eq!(to_whatsapp(&"[code]".repeat(4_000)).len(), 24_000);
}
