//! Kamailio as a gateway that lets nobody in without a password, and takes every call.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use bench::deadline::Deadline;
use tempfile::TempDir;

use crate::PATIENCE;

/// A running Kamailio. It ends with its value.
pub(crate) struct Kamailio {
    child: Child,
    _dir: TempDir,
    said: Receiver<String>,
}

/// A request it let in, or an ACK, which it asks nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) method: String,
    pub(crate) cseq: u32,
    /// Whether credentials were with it.
    pub(crate) proved: bool,
}

impl Kamailio {
    /// Starts it at `address` and waits until it listens. `acme` is let in with the password `secret`.
    pub(crate) fn start(address: IpAddr, algorithm: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kamailio.cfg");
        fs::write(&path, configuration(address, algorithm)).unwrap();
        let mut child = Command::new("kamailio")
            .args(["-DD", "-E", "-m", "16", "-M", "4", "-Y"])
            .arg(dir.path())
            .arg("-f")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (says, said) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // Nobody listens once the test is over; its pipe is read all the same.
                let _ = says.send(line);
            }
        });
        let kamailio = Self { child, _dir: dir, said };
        kamailio.wait_for("gateway: ready");
        kamailio
    }

    /// The next request it takes.
    pub(crate) fn takes(&self) -> Taken {
        let line = self.wait_for("gateway: takes ");
        let mut words = line.split_whitespace();
        let method = words.next().unwrap().to_owned();
        Taken { method, cseq: words.next().unwrap().parse().unwrap(), proved: words.next() == Some("acme") }
    }

    /// What stands behind `beginning` in the next line that has it.
    fn wait_for(&self, beginning: &str) -> String {
        let deadline = Deadline::after(PATIENCE);
        let mut passed = Vec::new();
        loop {
            let line = self.said.recv_timeout(deadline.left().unwrap_or_default());
            let line = line.unwrap_or_else(|_| panic!("no \"{beginning}\" in\n{}", passed.join("\n")));
            if let Some((_, rest)) = line.split_once(beginning) {
                return rest.to_owned();
            }
            passed.push(line);
        }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // It ends its other processes, which it would leave behind if it were killed.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn configuration(address: IpAddr, algorithm: &str) -> String {
    let modules = ["sl", "pv", "xlog", "textops", "siputils", "auth"];
    let modules: String = modules.iter().map(|module| format!("loadmodule \"{module}.so\"\n")).collect();
    let sound = format!(
        "v=0\\r\\no=- 1 1 IN IP4 {address}\\r\\ns=-\\r\\nc=IN IP4 {address}\\r\\nt=0 0\\r\\nm=audio 4000 RTP/AVP 8 0\\r\\n"
    );
    format!(
        r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
auto_aliases=no
listen=udp:{address}:5060
{modules}
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_count", 1)

event_route[core:worker-one-init] {{
    xlog("L_ALERT", "gateway: ready\n");
}}

request_route {{
    if (is_method("ACK")) {{
        # Of the refusals' it takes no note. $au is that of requests that can be challenged.
        if ($hdr(Authorization) =~ "username=\"acme\"") {{
            xlog("L_ALERT", "gateway: takes $rm $cs acme\n");
        }}
        exit;
    }}
    if (!pv_www_authenticate("pbx.example", "secret", "0") || $au != "acme") {{
        www_challenge("pbx.example", "1");
        exit;
    }}
    xlog("L_ALERT", "gateway: takes $rm $cs $au\n");
    if (is_method("INVITE")) {{
        append_to_reply("Contact: <sip:gateway@{address}>\r\n");
        set_reply_body("{sound}", "application/sdp");
    }}
    sl_send_reply("200", "OK");
}}
"#
    )
}
