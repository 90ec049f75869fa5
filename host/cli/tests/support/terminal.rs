//! A terminal that the program believes in, and somebody who types into it and reads along.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long the program may say nothing: only a test that fails waits for it.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// What was shown and not asked for yet.
    shown: Vec<u8>,
}

impl Terminal {
    /// Runs `command` in a window so many columns wide.
    pub fn run(mut command: Command, columns: u16) -> Self {
        let (mut ours, mut theirs) = (0, 0);
        let mut size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let null = std::ptr::null_mut();
        // SAFETY: the two numbers and the size live until the call has ended.
        assert_eq!(unsafe { libc::openpty(&mut ours, &mut theirs, null, std::ptr::null_mut(), &raw mut size) }, 0);
        command.env("TERM", "xterm-256color");
        // SAFETY: both calls may be made between fork and exec, and the descriptors are open there.
        unsafe {
            command.pre_exec(move || {
                libc::close(ours);
                if libc::login_tty(theirs) == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
            });
        }
        let child = command.spawn().unwrap();
        // SAFETY: nobody else has this end, and the other one is the child's alone from now on.
        let keyboard = unsafe {
            libc::close(theirs);
            File::from_raw_fd(ours)
        };
        let (send, screen) = channel();
        let mut reader = keyboard.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                match reader.read(&mut bytes) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    // The terminal is closed with its program.
                    Ok(0) | Err(_) => break,
                    Ok(count) if send.send(bytes[..count].to_vec()).is_err() => break,
                    Ok(_) => {}
                }
            }
        });
        Self { child, keyboard, screen, shown: Vec::new() }
    }

    /// Presses keys.
    pub fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What is shown up to `text`, without what moves the cursor.
    pub fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.shown.windows(text.len()).position(|part| part == text.as_bytes()) {
                let before: Vec<u8> = self.shown.drain(..at + text.len()).collect();
                return plain(std::str::from_utf8(&before[..at]).unwrap());
            }
            match self.screen.recv_timeout(PATIENCE) {
                Ok(bytes) => self.shown.extend(bytes),
                Err(_) => panic!("{text:?} is not shown, but {:?}", String::from_utf8_lossy(&self.shown)),
            }
        }
    }

    /// What is shown up to the question for a line, once keys are read one by one: before that Ctrl-C is a signal, not a key.
    pub fn until_asked(&mut self) -> String {
        let before = self.until("you: ");
        let began = Instant::now();
        while self.reads_lines() {
            assert!(began.elapsed() < PATIENCE, "keys are not read");
            std::thread::sleep(Duration::from_millis(2));
        }
        before
    }

    /// Whether the terminal gathers keys to lines, and makes signals of some.
    fn reads_lines(&self) -> bool {
        // SAFETY: a `termios` is plain numbers, and the call fills it.
        unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            assert_eq!(libc::tcgetattr(self.keyboard.as_raw_fd(), &raw mut settings), 0);
            settings.c_lflag & libc::ICANON != 0
        }
    }

    /// All that is still shown, as it was sent, and the exit status.
    pub fn end(mut self) -> (String, i32) {
        while let Ok(bytes) = self.screen.recv_timeout(PATIENCE) {
            self.shown.extend(bytes);
        }
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        (String::from_utf8_lossy(&self.shown).into_owned(), code)
    }
}

/// Without escape sequences and carriage returns.
pub fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part
            .char_indices()
            .skip(1)
            .find(|(_, c)| ('@'..='~').contains(c))
            .map_or(part.len(), |(at, c)| at + c.len_utf8());
        out.push_str(&part[end..]);
    }
    out.replace('\r', "")
}
