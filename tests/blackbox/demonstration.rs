//! The demonstration against the quick start, as a newcomer runs it.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use bench::shift_change::{Place, play};

use crate::edge::run;

#[derive(Clone, Default)]
struct Shown(Arc<Mutex<Vec<u8>>>);

impl Write for Shown {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_shift_change_is_as_promised_and_shows_no_pin() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("quickstart.toml");
    let quickstart = Path::new(env!("CARGO_MANIFEST_DIR")).join("configs/quickstart.toml");
    let text = fs::read_to_string(quickstart).unwrap();
    fs::write(&file, text.replace("127.0.0.1:5060", "127.0.0.1:0").replace("127.0.0.1:8060", "127.0.0.1:0"))
        .unwrap();
    let edge = run(&file);
    let (sip, control) = edge.bound.clone();
    let shown = Shown::default();

    let broken = play(&Place { udp: sip[0], tcp: sip[1], control }, Box::new(shown.clone()), false);

    let shown = String::from_utf8(shown.0.lock().unwrap().clone()).unwrap();
    assert!(matches!(broken, Ok(0)), "{broken:?}\n{shown}");
    assert!(shown.contains("INVITE *11*1001*••••"), "{shown}");
    for secret in ["7738", "2468", "1357", "0000", "\x1b["] {
        assert!(!shown.contains(secret), "{secret:?} in {shown}");
    }
}
