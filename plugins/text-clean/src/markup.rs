//! Text out of HTML, as a browser would show it.
//!
//! Not a parser of HTML: text is kept in doubt. `a < b`, `if x<3` and `if a <b and c> d` have no tag in them, because a
//! tag begins with the name of an element of HTML right after `<`, has attributes behind it (a name with a value, or one
//! of the [`BARE`] ones) and ends with `>`. The content of `script` and `style` goes with its
//! tags. A block element leaves a space where it stood, so that words do not run together.
//!
//! Between the tags, character references become characters as the HTML standard says (section 13.2.5.72 and following):
//! once, so that what was escaped is text and stays: `&lt;b&gt;` is `<b>` on the page.
//!
//! Price: time in proportion to the text, whatever is in it.

use std::borrow::Cow;
use std::collections::HashSet;

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

/// Attributes that stand without a value; any other needs one, or what stands there is no tag.
const BARE: &[&str] = &[
    "allowfullscreen",
    "alt",
    "async",
    "autofocus",
    "autoplay",
    "checked",
    "class",
    "compact",
    "controls",
    "default",
    "defer",
    "disabled",
    "download",
    "formnovalidate",
    "hidden",
    "href",
    "id",
    "inert",
    "ismap",
    "itemscope",
    "loop",
    "multiple",
    "muted",
    "name",
    "nohref",
    "nomodule",
    "noresize",
    "noshade",
    "novalidate",
    "nowrap",
    "open",
    "playsinline",
    "readonly",
    "required",
    "reversed",
    "selected",
    "src",
    "style",
    "title",
    "value",
];

/// The text without markup.
pub fn strip(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '&']) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut found = Found::default();
    // What has been read, and up to where it has been kept.
    let (mut at, mut from) = (0, 0);
    while let Some(next) = text[at..].find('<') {
        at += next;
        match tag(text, at, &mut found) {
            Some((end, space)) => {
                kept.push_str(&htmlize::unescape(&text[from..at]));
                kept.push_str(if space { " " } else { "" });
                (at, from) = (end, end);
            }
            None => at += 1,
        }
    }
    kept.push_str(&htmlize::unescape(&text[from..]));
    Cow::Owned(kept)
}

/// What earlier places have shown about the rest of the text: looked for once, not from every place where something
/// could begin.
#[derive(Default)]
struct Found {
    no_comment_end: bool,
    no_bracket: bool,
    /// Elements without an end, in the order of [`HIDDEN`].
    no_end: [bool; HIDDEN.len()],
    /// Where attributes begin that do not end in a tag.
    broken: HashSet<usize>,
}

/// `find`, unless it is known to find nothing.
fn ahead(nothing: &mut bool, find: impl FnOnce() -> Option<usize>) -> Option<usize> {
    if *nothing {
        return None;
    }
    let found = find();
    *nothing = found.is_none();
    found
}

/// Where the tag that begins at `start` ends, and whether it parts words.
fn tag(text: &str, start: usize, found: &mut Found) -> Option<(usize, bool)> {
    let after = &text[start + 1..];
    if after.starts_with("!--") {
        // From the first dashes on, because `<!-->` is a whole comment.
        let end = ahead(&mut found.no_comment_end, || comment_end(&after[1..]));
        return end.map(|end| (start + 2 + end, true));
    }
    let instruction = after.starts_with('?') && after[1..].starts_with(|c: char| c.is_ascii_alphabetic());
    if instruction || after.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("!doctype")) {
        return ahead(&mut found.no_bracket, || after.find('>')).map(|end| (start + 1 + end + 1, true));
    }
    let closes = after.starts_with('/');
    let name_from = start + 1 + usize::from(closes);
    let name_to = name_from + text[name_from..].find(|c: char| !c.is_ascii_alphanumeric())?;
    let name = text[name_from..name_to].to_ascii_lowercase();
    let known = |names: &[&str]| names.contains(&name.as_str());
    if !(known(INLINE) || known(BLOCK) || known(HIDDEN)) {
        return None;
    }
    let end = match closes {
        true => {
            let rest = text[name_to..].trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
            rest.starts_with('>').then(|| text.len() - rest.len() + 1)?
        }
        false => attributes(text, name_to, &mut found.broken)?,
    };
    if let Some(which) = HIDDEN.iter().position(|hidden| *hidden == name).filter(|_| !closes) {
        let content = ahead(&mut found.no_end[which], || {
            let at = end + find_ignoring_case(&text[end..], &format!("</{name}"))?;
            text[at..].find('>').map(|close| at + close + 1)
        });
        return Some((content.unwrap_or(end), true));
    }
    Some((end, !known(INLINE)))
}

/// Past the first `-->` or `--!>`.
fn comment_end(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find("--")?;
        let after = &text[at + 2..];
        match after.starts_with('>') {
            true => return Some(at + 3),
            false if after.starts_with("!>") => return Some(at + 4),
            false => at += 1,
        }
    }
}

/// Where the tag ends whose attributes begin at `from`, past its `>`. From every place in `broken` there is no end.
fn attributes(text: &str, from: usize, broken: &mut HashSet<usize>) -> Option<usize> {
    let mut passed = Vec::new();
    let mut at = from;
    loop {
        if broken.contains(&at) {
            break;
        }
        passed.push(at);
        match attribute(text, at) {
            Some(Next::Attribute(next)) => at = next,
            Some(Next::End(end)) => return Some(end),
            None => break,
        }
    }
    broken.extend(passed);
    None
}

/// What follows in a tag.
enum Next {
    /// An attribute, up to here.
    Attribute(usize),
    /// The end of the tag, which is here.
    End(usize),
}

/// The next attribute from `from` on, or the end; `None` where neither is.
fn attribute(text: &str, from: usize) -> Option<Next> {
    let space = |c: char| c.is_ascii_whitespace();
    let place = |rest: &str| text.len() - rest.len();
    let rest = text[from..].trim_start_matches(|c| space(c) || c == '/');
    if let Some(after) = rest.strip_prefix('>') {
        return Some(Next::End(place(after)));
    }
    if place(rest) == from && !text[..from].ends_with(['"', '\'']) {
        return None;
    }
    let length = rest.find(|c: char| space(c) || "/>=<\"'&".contains(c))?;
    let (name, after) = rest.split_at(length);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || "@:_".contains(c)) {
        return None;
    }
    let Some(value) = after.trim_start_matches(space).strip_prefix('=') else {
        let bare = name.starts_with("data-") || BARE.iter().any(|bare| name.eq_ignore_ascii_case(bare));
        return bare.then(|| Next::Attribute(place(after)));
    };
    let value = value.trim_start_matches(space);
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) {
        let end = value[1..].find(quote)?;
        return Some(Next::Attribute(place(value) + end + 2));
    }
    let length = value.find(|c: char| space(c) || "><\"'`=".contains(c))?;
    (length > 0 && value[length..].starts_with(|c| space(c) || c == '>'))
        .then(|| Next::Attribute(place(value) + length))
}

fn find_ignoring_case(text: &str, word: &str) -> Option<usize> {
    text.as_bytes().windows(word.len()).position(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::strip;

    #[test]
    fn tags_go_and_their_text_stays() {
        assert_eq!(strip("<p class=\"a>b\">My <b>ca</b>rd</p>").trim(), "My card");
        assert_eq!(strip("one<br/>two<BR>three"), "one two three");
        assert_eq!(strip("a<!-- gone > --> b<!-->c<!-- d --!>e"), "a  b c e");
        assert_eq!(strip("<script>var x = '<b>';</script>text"), " text");
        assert_eq!(strip("<!DOCTYPE html><?xml version='1.0'?><html>x</html >"), "   x ");
    }

    #[test]
    fn attributes_are_names_with_values_or_known_to_have_none() {
        for tag in [
            "<a href=\"https://a.b/?c=d&e=f\" target=_blank>",
            "<input disabled value='>' checked/>",
            "<img src=x.png alt>",
            "<td colspan = 2\n nowrap >",
            "<div data-x @click=\"go()\" :key='1'>",
            "<a href=\"x\"title=\"y\">",
        ] {
            assert_eq!(strip(&format!("x{tag}y")).replace(' ', ""), "xy", "{tag}");
        }
    }

    #[test]
    fn what_only_looks_like_a_tag_stays() {
        for text in [
            "if a < b then c > d",
            "if a <b and c> d",
            "is s <s t> u",
            "x <b 3=4> y",
            "</b and c>",
            "x<3 and y>4",
            "<unknown>",
            "a <- b",
            "<",
            "<b",
            "<a href=",
            "List<String> names",
            "I <3 you",
            "<?>",
        ] {
            assert_eq!(strip(text), text);
        }
    }

    #[test]
    fn references_become_the_characters_that_a_browser_shows() {
        assert_eq!(strip("caf&eacute; &#233; &#xE9; &Ntilde; &NotEqualTilde;"), "café é é Ñ ≂̸");
        // Windows-1252, which such numbers were meant in.
        assert_eq!(strip("don&#146;t &#x80;5 &#133;"), "don’t €5 …");
        // Old names need no semicolon, others do; the longest name counts.
        assert_eq!(strip("a&nbsp b &copy2026 &notit; &lang x &amp"), "a\u{A0} b ©2026 ¬it; &lang x &");
        assert_eq!(strip("AT&T & co; &unknown; &#; &#x; &"), "AT&T & co; &unknown; &#; &#x; &");
        assert_eq!(strip("&#0; &#x110000; &#xD800;"), "\u{FFFD} \u{FFFD} \u{FFFD}");
    }

    #[test]
    fn what_was_escaped_is_text() {
        assert_eq!(strip("&lt;b&gt;bold&lt;/b&gt;"), "<b>bold</b>");
        assert_eq!(strip("Q&amp;A &amp;amp; more"), "Q&A &amp; more");
        assert_eq!(strip("&am&#112;;lt&#59; &l<b>t</b>;"), "&amp;lt; &lt;");
    }

    /// Some hundred thousand characters each: what is looked for from every place would not end.
    #[test]
    fn a_text_of_any_length_is_worked_through_once() {
        let many = 100_000;
        assert_eq!(strip(&format!("&{}lt;b&gt;x", "amp;".repeat(many))), format!("&{}lt;b>x", "amp;".repeat(many - 1)));
        for unclosed in [
            "<!--",
            "<!-- a",
            "<!-- -",
            "<!doctype ",
            "<?a",
            "<b \"",
            "<a '",
            "<a x='",
            "<a x=y ",
            "</script",
            "&am",
            "&",
            "<",
        ] {
            let text = unclosed.repeat(many);
            assert_eq!(strip(&text), text);
        }
        // Tags that begin in the values of others, and end nowhere.
        for nested in ["<a x=\" y='\" y='", "<a x=\"\" y='\"' ", "<a x='<a y=\"' z=\"'\" "] {
            let text = nested.repeat(many);
            assert!(strip(&text).len() <= text.len());
        }
        assert_eq!(strip(&"<script>".repeat(many)), " ".repeat(many));
        assert_eq!(strip(&("<STYLE>".repeat(many) + "</style")), " ".repeat(many) + "</style");
        assert_eq!(strip(&"<script>x</script>".repeat(many)), " ".repeat(many));
        assert_eq!(strip(&"a<!-- b -->".repeat(many)), "a ".repeat(many));
        assert_eq!(strip(&"a<!-- b --!>".repeat(many)), "a ".repeat(many));
        let nested = format!("{}<b>{}", "&l".repeat(many), "t;b>".repeat(many));
        assert!(strip(&nested).len() < nested.len());
    }
}
