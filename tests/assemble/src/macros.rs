//! What the texts of attacks say beyond WebAssembly's own syntax.
//!
//! - `(for 1 3 ..)` is its body three times, with the number for each `#`, and the number before it for each `#-`.
//! - `(text $name "..")` is a text in memory: `$name` and `$name.len` are globals with its place and its length. In
//!   backticks a text is taken as it is.

/// The forms of a text, without comments, with every `for` written out.
pub fn forms(text: &str) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut rest = skipped(text);
    while !rest.is_empty() {
        let length = form(rest)?;
        let (one, after) = rest.split_at(length);
        found.extend(if repeated(one).is_some() { forms(&written_out(one)?)? } else { vec![written_out(one)?] });
        rest = skipped(after);
    }
    Ok(found)
}

/// `text` behind white space and comments.
fn skipped(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with(";;") {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest).trim_start();
    }
    rest
}

/// Length of what `text` begins with: a list, a string or a word.
fn form(text: &str) -> Result<usize, String> {
    let mut depth = 0usize;
    let mut at = 0;
    let bytes = text.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'(' => depth += 1,
            b')' => {
                depth = depth.checked_sub(1).ok_or("a `)` too many")?;
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            quote @ (b'"' | b'`') => {
                at += 1;
                while *bytes.get(at).ok_or("a text that does not end")? != quote {
                    at += if bytes[at] == b'\\' && quote == b'"' { 2 } else { 1 };
                }
                if depth == 0 {
                    return Ok(at + 1);
                }
            }
            b';' if bytes.get(at + 1) == Some(&b';') => {
                at += text[at..].find('\n').unwrap_or(text.len() - at - 1);
            }
            byte if depth == 0 && byte.is_ascii_whitespace() => return Ok(at),
            _ => {}
        }
        at += 1;
    }
    if depth == 0 { Ok(text.len()) } else { Err(format!("a `(` without its `)`: {}", head(text))) }
}

fn head(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// Bounds and body of a `for`.
fn repeated(form: &str) -> Option<(u64, u64, &str)> {
    let inner = form.strip_prefix("(for ")?.strip_suffix(')')?;
    let mut words = inner.splitn(3, ' ');
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?, words.next()?))
}

/// `text` with every `for` in it written out, from the outermost to the innermost; `#` of an inner one is its own.
fn written_out(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("(for ") {
        out.push_str(&rest[..at]);
        let length = form(&rest[at..])?;
        let one = &rest[at..at + length];
        let (from, to, body) = repeated(one).ok_or_else(|| format!("`{}` is no `(for FROM TO ..)`", head(one)))?;
        let body = written_out(body)?;
        for n in from..=to {
            out.push_str(&body.replace("#-", &n.saturating_sub(1).to_string()).replace('#', &n.to_string()));
            out.push(' ');
        }
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Name and bytes of a `text` form, given its parts as they are written.
pub fn text(form: &str) -> Option<Result<(String, Vec<u8>), String>> {
    let inner = form.strip_prefix("(text ")?.strip_suffix(')')?;
    let (name, mut rest) = inner.split_once(char::is_whitespace)?;
    let mut bytes = Vec::new();
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(Ok((name.to_owned(), bytes)));
        }
        let length = match self::form(rest) {
            Ok(length) => length,
            Err(reason) => return Some(Err(reason)),
        };
        let (one, after) = rest.split_at(length);
        match one.as_bytes() {
            [b'`', raw @ .., b'`'] => bytes.extend_from_slice(raw),
            [b'"', escaped @ .., b'"'] => bytes.extend(unescaped(escaped)),
            _ => return Some(Err(format!("`{one}` in the text {name} is no string"))),
        }
        rest = after;
    }
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let [byte, escape, low] = [at, at + 1, at + 2].map(|at| text.get(at).copied().unwrap_or_default());
        let digits = [escape, low].map(|digit| char::from(digit).to_digit(16));
        match (byte, escape, digits) {
            (b'\\', _, [Some(high), Some(low)]) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'\\', escape, _) => {
                out.push(match escape {
                    b'n' => b'\n',
                    b't' => b'\t',
                    b'r' => b'\r',
                    other => other,
                });
                at += 2;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// `bytes` as a string of WebAssembly text.
pub fn escaped(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        match byte {
            b' '..=b'~' if !matches!(byte, b'"' | b'\\') => out.push(char::from(*byte)),
            byte => out.push_str(&format!("\\{byte:02x}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_for_is_its_body_with_the_numbers() {
        assert_eq!(
            forms("(for 1 2 (a # #-)) ;; no\n(b (for 3 4 \"#\"))").unwrap(),
            ["(a 1 0)", "(a 2 1)", "(b \"3\" \"4\" )"]
        );
        assert!(forms("(a").is_err());
    }

    #[test]
    fn a_text_is_its_strings() {
        let made = text(r#"(text $a "x\0a\"" `{"raw":1}`)"#).unwrap().unwrap();
        assert_eq!(made, ("$a".into(), b"x\n\"{\"raw\":1}".to_vec()));
        assert_eq!(escaped(&made.1), r#""x\0a\22{\22raw\22:1}""#);
    }
}
