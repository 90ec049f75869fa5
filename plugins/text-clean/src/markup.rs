//! What is left of HTML in scraped text: tags, comments, entities.
//!
//! Not a parser of HTML: text is kept in doubt. `a < b` and `if x<3` have no tag
//! in them, because a tag begins with a letter, `/` or `!` right after `<`, names an
//! element of HTML and ends with `>`. The content of `script` and `style` goes with its
//! tags. A block element leaves a space where it stood, so that words do not run together.

use std::borrow::Cow;

/// Elements that are part of a line of text: their tags leave nothing.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font", "i", "ins", "kbd",
    "label", "mark", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "time", "tt", "u", "var",
    "wbr",
];

/// Elements that stand for themselves: their tags leave a space.
const BLOCK: &[&str] = &[
    "address",
    "area",
    "article",
    "aside",
    "audio",
    "base",
    "blockquote",
    "body",
    "br",
    "button",
    "canvas",
    "caption",
    "center",
    "col",
    "colgroup",
    "data",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "embed",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "iframe",
    "img",
    "input",
    "legend",
    "li",
    "link",
    "main",
    "map",
    "menu",
    "meta",
    "meter",
    "nav",
    "noscript",
    "object",
    "ol",
    "optgroup",
    "option",
    "output",
    "p",
    "param",
    "picture",
    "pre",
    "progress",
    "rp",
    "rt",
    "ruby",
    "section",
    "select",
    "source",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "template",
    "textarea",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "track",
    "ul",
    "video",
];

/// Elements whose content is no text.
const HIDDEN: &[&str] = &["script", "style"];

/// Named entities worth knowing: those of XML, and what editors and exports leave in text.
const ENTITIES: &[(&str, &str)] = &[
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", "\u{A0}"),
    ("shy", "\u{AD}"),
    ("hellip", "…"),
    ("mdash", "—"),
    ("ndash", "–"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("sbquo", "‚"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("bdquo", "„"),
    ("laquo", "«"),
    ("raquo", "»"),
    ("bull", "•"),
    ("middot", "·"),
    ("copy", "©"),
    ("reg", "®"),
    ("trade", "™"),
    ("deg", "°"),
    ("plusmn", "±"),
    ("times", "×"),
    ("divide", "÷"),
    ("frac12", "½"),
    ("euro", "€"),
    ("pound", "£"),
    ("yen", "¥"),
    ("cent", "¢"),
    ("sect", "§"),
    ("para", "¶"),
    ("ensp", "\u{2002}"),
    ("emsp", "\u{2003}"),
    ("thinsp", "\u{2009}"),
    ("zwnj", "\u{200C}"),
    ("zwj", "\u{200D}"),
    ("iexcl", "¡"),
    ("iquest", "¿"),
    ("agrave", "à"),
    ("aacute", "á"),
    ("acirc", "â"),
    ("atilde", "ã"),
    ("auml", "ä"),
    ("aring", "å"),
    ("aelig", "æ"),
    ("ccedil", "ç"),
    ("egrave", "è"),
    ("eacute", "é"),
    ("ecirc", "ê"),
    ("euml", "ë"),
    ("igrave", "ì"),
    ("iacute", "í"),
    ("icirc", "î"),
    ("iuml", "ï"),
    ("ntilde", "ñ"),
    ("ograve", "ò"),
    ("oacute", "ó"),
    ("ocirc", "ô"),
    ("otilde", "õ"),
    ("ouml", "ö"),
    ("oslash", "ø"),
    ("ugrave", "ù"),
    ("uacute", "ú"),
    ("ucirc", "û"),
    ("uuml", "ü"),
    ("szlig", "ß"),
    ("Auml", "Ä"),
    ("Ouml", "Ö"),
    ("Uuml", "Ü"),
    ("Eacute", "É"),
    ("Agrave", "À"),
    ("Ccedil", "Ç"),
];

/// The text without markup. Repeats until nothing changes, because what was
/// escaped twice is a tag after the first pass; every pass makes the text shorter.
pub fn strip(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    while text.contains(['<', '&']) {
        let next = entities(&tags(&text));
        if next == text {
            break;
        }
        text = Cow::Owned(next);
    }
    text
}

/// The text without tags and comments.
fn tags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        match tag(from) {
            Some((length, space)) => {
                kept.push_str(if space { " " } else { "" });
                rest = &from[length..];
            }
            None => {
                kept.push('<');
                rest = &from[1..];
            }
        }
    }
    kept + rest
}

/// How long the tag at the start of `text` is, and whether it parts words.
fn tag(text: &str) -> Option<(usize, bool)> {
    if let Some(comment) = text.strip_prefix("<!--") {
        return comment.find("-->").map(|end| (end + 7, true));
    }
    let name_from = if text.starts_with("</") { 2 } else { 1 };
    if text[1..].get(..8).is_some_and(|word| word.eq_ignore_ascii_case("!doctype")) {
        return text.find('>').map(|end| (end + 1, true));
    }
    let name_to = text[name_from..].find(|c: char| !c.is_ascii_alphanumeric()).map(|n| n + name_from)?;
    let name = text[name_from..name_to].to_ascii_lowercase();
    let known = |names: &[&str]| names.contains(&name.as_str());
    if !text[name_to..].starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/') {
        return None;
    }
    let length = closing(&text[name_to..])? + name_to;
    if known(HIDDEN) {
        let end = format!("</{name}");
        let content = if name_from == 1 { find_ignoring_case(&text[length..], &end) } else { None };
        let close = content.and_then(|at| text[length + at..].find('>').map(|end| length + at + end + 1));
        return Some((close.unwrap_or(length), true));
    }
    (known(INLINE) || known(BLOCK)).then(|| (length, known(BLOCK)))
}

/// Where the tag ends, past its `>`; a `>` inside quotes does not end it.
fn closing(attributes: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in attributes.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(at + 1),
            (None, '<') => return None,
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    text.as_bytes().windows(word.len()).position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// The text with entities decoded; what is none stays.
fn entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        decoded.push_str(before);
        let entity = from[1..].split_once(';').filter(|(name, _)| name.len() <= 10);
        match entity.and_then(|(name, after)| Some((character(name)?, after))) {
            Some((text, after)) => {
                decoded.push_str(&text);
                rest = after;
            }
            None => {
                decoded.push('&');
                rest = &from[1..];
            }
        }
    }
    decoded + rest
}

/// What an entity stands for.
fn character(name: &str) -> Option<Cow<'static, str>> {
    let Some(number) = name.strip_prefix('#') else {
        return ENTITIES.iter().find(|(entity, _)| *entity == name).map(|(_, text)| Cow::Borrowed(*text));
    };
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(code).filter(|c| *c != '\0').map(|c| Cow::Owned(c.to_string()))
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn tags_go_and_their_text_stays() {
        assert_eq!(strip("<p class=\"a>b\">My <b>ca</b>rd</p>").trim(), "My card");
        assert_eq!(strip("one<br/>two<BR>three"), "one two three");
        assert_eq!(strip("a<!-- gone > --> b"), "a  b");
        assert_eq!(strip("<script>var x = '<b>';</script>text"), " text");
        assert_eq!(strip("<!DOCTYPE html><html>x</html>"), "  x ");
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        for text in
            ["if a < b then c > d", "x<3 and y>4", "<unknown>", "a <- b", "<", "<b", "List<String> names", "I <3 you"]
        {
            assert_eq!(strip(text), text);
        }
    }

    #[test]
    fn entities_become_characters_however_often_they_were_escaped() {
        assert_eq!(strip("caf&eacute; &#233; &#xE9;"), "café é é");
        assert_eq!(strip("Q&amp;A &amp;amp; more"), "Q&A & more");
        assert_eq!(strip("&lt;b&gt;bold&lt;/b&gt;"), "bold");
        assert_eq!(strip("AT&T & co; &nothing; &#0; &#x110000;"), "AT&T & co; &nothing; &#0; &#x110000;");
    }
}
