//! What a plugin logs becomes events of the host's log, within reason.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::{plugin, samples, setup};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_plugins_lines_are_logged_under_its_name_and_bounded_in_number() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .with_max_level(tracing::Level::INFO)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        let plugin = plugin("hostile/chatters");
        let mut role = plugin.preprocessor(&setup(&plugin)).unwrap();
        role.process(&samples(&["a"])).unwrap();
        role.process(&samples(&["b"])).unwrap();
    });
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2 * 200, "each call may log 199 lines and the notice");
    assert_eq!(lines[0].trim(), r#"INFO plugin: line 0 plugin="chatters""#);
    assert!(lines[199].contains("the rest is dropped"), "{}", lines[199]);
    assert!(lines[200].contains("line 0"), "{}", lines[200]);
}
