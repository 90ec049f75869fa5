//! What is left of HTML in scraped text: tags, comments, entities.
//!
//! Not a parser of HTML: text is kept in doubt. `a < b` and `if x<3` have no tag
//! in them, because a tag begins with a letter, `/` or `!` right after `<`, names an
//! element of HTML and ends with `>`. The content of `script` and `style` goes with its
//! tags. A block element leaves a space where it stood, so that words do not run together.
//!
//! Price: time in proportion to the text, whatever is in it.

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

/// The longest name or number of an entity, in bytes.
const LONGEST: usize = 10;

/// How often markup is looked for in what was markup. Nobody escapes a text so often; one that is
/// made to need more keeps the rest.
const PASSES: usize = 16;

/// The text without markup. Repeats until nothing changes, because what was escaped is a tag after
/// the first pass; every pass makes the text shorter.
pub fn strip(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..PASSES {
        if !text.contains(['<', '&']) {
            break;
        }
        let next = entities(&tags(&text));
        if next == text {
            break;
        }
        text = Cow::Owned(next);
    }
    text
}

/// What was looked for up to the end of the text and is not there: looked for once, not from every
/// place where it could have begun.
#[derive(Default)]
struct Missing {
    comment_end: bool,
    bracket: bool,
    /// Elements without an end, in the order of [`HIDDEN`].
    end: [bool; HIDDEN.len()],
}

/// The text without tags and comments.
fn tags(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut missing = Missing::default();
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        match tag(from, &mut missing) {
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

/// `find`, unless it is known to find nothing.
fn ahead(missing: &mut bool, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
    if *missing {
        return None;
    }
    let found = find();
    *missing = found.is_none();
    found
}

/// How long the tag at the start of `text` is, and whether it parts words.
fn tag(text: &str, missing: &mut Missing) -> Option<(usize, bool)> {
    if let Some(comment) = text.strip_prefix("<!--") {
        return ahead(&mut missing.comment_end, || comment.find("-->")).map(|end| (end + 7, true));
    }
    let name_from = if text.starts_with("</") { 2 } else { 1 };
    if text[1..].get(..8).is_some_and(|word| word.eq_ignore_ascii_case("!doctype")) {
        return ahead(&mut missing.bracket, || text.find('>')).map(|end| (end + 1, true));
    }
    let name_to = text[name_from..].find(|c: char| !c.is_ascii_alphanumeric()).map(|n| n + name_from)?;
    let name = text[name_from..name_to].to_ascii_lowercase();
    let known = |names: &[&str]| names.contains(&name.as_str());
    if !text[name_to..].starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/') {
        return None;
    }
    let length = closing(&text[name_to..])? + name_to;
    if let Some(which) = HIDDEN.iter().position(|hidden| *hidden == name) {
        if name_from == 2 {
            return Some((length, true));
        }
        let end = ahead(&mut missing.end[which], || {
            let at = find_ignoring_case(&text[length..], &format!("</{name}"))?;
            text[length + at..].find('>').map(|end| length + at + end + 1)
        });
        return Some((end.unwrap_or(length), true));
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

/// The text with entities decoded, however often they were escaped; what is none stays.
fn entities(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(';') {
        let (until, after) = rest.split_at(at + 1);
        decoded.push_str(until);
        rest = after;
        // What an entity stands for may be the end of another one, or its beginning.
        while let Some((from, character)) = last_entity(&decoded) {
            decoded.truncate(from);
            decoded.push_str(&character);
        }
    }
    decoded + rest
}

/// Where the entity that `text` ends with begins, and what it stands for.
fn last_entity(text: &str) -> Option<(usize, Cow<'static, str>)> {
    let body = text.strip_suffix(';')?;
    let window = body.len().saturating_sub(LONGEST + 1);
    let from = window + body.as_bytes()[window..].iter().rposition(|byte| *byte == b'&')?;
    Some((from, character(&body[from + 1..])?))
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

    #[test]
    fn what_an_entity_leaves_can_be_part_of_another() {
        assert_eq!(strip("&am&#112;;lt&#59; &#38;#38;quot;"), "< \"");
        assert_eq!(strip("&l<b>t</b>;i&gt;x"), "x");
    }

    /// Some hundred thousand characters each: what is looked for from every place would not end.
    #[test]
    fn a_text_of_any_length_is_worked_through_once() {
        let many = 100_000;
        assert_eq!(strip(&format!("&{}lt;b&gt;x", "amp;".repeat(many))), "x");
        for unclosed in ["<!--", "<!-- a", "<!doctype ", "<b \"", "<a '", "</script", "&am", "&", "<"] {
            let text = unclosed.repeat(many);
            assert_eq!(strip(&text), text);
        }
        assert_eq!(strip(&"<script>".repeat(many)), " ".repeat(many));
        assert_eq!(strip(&("<STYLE>".repeat(many) + "</style")), " ".repeat(many) + "</style");
        assert_eq!(strip(&"<script>x</script>".repeat(many)), " ".repeat(many));
        assert_eq!(strip(&"a<!-- b -->".repeat(many)), "a ".repeat(many));
        let nested = format!("{}<b>{}", "&l".repeat(many), "t;b>".repeat(many));
        assert!(strip(&nested).len() < nested.len());
    }
}
