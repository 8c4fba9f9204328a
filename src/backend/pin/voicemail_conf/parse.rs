//! Reads `voicemail.conf` of Asterisk, as it stands on disk: mailboxes by context, each with its PIN.
//!
//! ```text
//! [general]                                     ; no mailboxes, but passwordlocation and aliasescontext
//! [default]                                     ; a context
//! 4200 => 9855,Mark Spencer,mark@example.net,,attach=no|tz=central
//! 4310 => -5432,Sales                           ; the minus sign: the user may not change it
//! [base](!)                                     ; a template: of no mailboxes itself
//! [annex](base)                                 ; what the template has, and its own
//! [default](+)                                  ; more of a context that stands above
//! #include "more.conf"
//! ```
//!
//! Files come in by a function, so that nothing here opens one; faults of single lines are noted, and the rest is read.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Includes within includes.
const DEPTH_MAX: usize = 8;
/// Files that one file may include, all in all.
pub(super) const FILES_MAX: usize = 64;
/// Octets of a file and all that it includes, and of lines that sections have from templates. A hundred thousand
/// mailboxes take some 8 MB.
pub(super) const OCTETS_MAX: usize = 32 << 20;
/// Sections and their lines, those from templates too: with templates of templates a few octets would be any number of
/// lines.
const LINES_MAX: usize = 500_000;
/// Remarks that are kept; a file with more is wrong as a whole.
const REMARKS_MAX: usize = 20;

/// The PIN of one mailbox. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// Empty: nobody may log in with it.
    pub(super) pin: Zeroizing<Vec<u8>>,
    /// The PIN is in a file of its own, and this one counts only where that is missing.
    pub(super) in_spool: bool,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox(…)")
    }
}

/// One context.
#[derive(Debug)]
pub(super) struct Context {
    /// As it is written: a folder of the spool is called so.
    pub(super) name: Box<str>,
    pub(super) mailboxes: HashMap<Box<str>, Mailbox>,
}

/// What a file and all that it includes say.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    /// By name. Asterisk matches contexts without regard to case; here they are in lower case.
    pub(super) contexts: HashMap<Box<str>, Context>,
    /// Every file that was read, or that was to be.
    pub(super) files: Vec<PathBuf>,
    /// What was passed over, each a sentence without secrets.
    pub(super) remarks: Vec<String>,
}

/// The octets of a file, or why it cannot be read.
pub(super) type Open<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Zeroizing<Vec<u8>>>;

/// Reads `path`; the folder it is in is Asterisk's configuration folder, which relative paths start from. `None`: it, or
/// a file that it includes, cannot be read, or ends in the middle of something, so what there is would be half of it; or
/// all of it is more than [`OCTETS_MAX`] or [`LINES_MAX`].
pub(super) fn parse(path: &Path, open: Open<'_>) -> Option<Parsed> {
    let mut reader = Reader::new(open, path.parent().unwrap_or(Path::new("")));
    reader.file(path, 0)?;
    Some(reader.finish())
}

/// A setting: its key, and its value, which may have a PIN in it.
type Line = (Box<[u8]>, Zeroizing<Vec<u8>>);

/// A section of the file, its lines in order.
struct Section {
    name: Box<str>,
    is_template: bool,
    lines: Vec<Line>,
}

struct Reader<'a> {
    open: Open<'a>,
    /// Where relative paths start.
    folder: &'a Path,
    sections: Vec<Section>,
    /// The last section of each name, which is in lower case here.
    by_name: HashMap<String, usize>,
    /// The section that lines go to.
    current: usize,
    octets_left: usize,
    lines_left: usize,
    parsed: Parsed,
}

impl<'a> Reader<'a> {
    fn new(open: Open<'a>, folder: &'a Path) -> Self {
        Self {
            open,
            folder,
            sections: Vec::new(),
            by_name: HashMap::new(),
            current: 0,
            octets_left: OCTETS_MAX,
            lines_left: LINES_MAX,
            parsed: Parsed::default(),
        }
    }

    /// `None`: it is too much.
    fn spend(&mut self, octets: usize, lines: usize) -> Option<()> {
        self.octets_left = self.octets_left.checked_sub(octets)?;
        self.lines_left = self.lines_left.checked_sub(lines)?;
        Some(())
    }

    fn file(&mut self, path: &Path, depth: usize) -> Option<()> {
        let octets = self.open(path).ok()?;
        self.text(&octets, path, depth)
    }

    fn open(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        self.parsed.files.push(path.to_owned());
        (self.open)(path)
    }

    fn text(&mut self, octets: &[u8], path: &Path, depth: usize) -> Option<()> {
        self.spend(octets.len(), 0)?;
        // `;--` and `--;` enclose what is no line of the file, and nest.
        let mut nested = 0_usize;
        for (number, line) in (1_usize..).zip(octets.split(|octet| *octet == b'\n')) {
            let line = without_comments(line, &mut nested);
            let line = line.trim_ascii();
            match line.first() {
                None => {}
                Some(b'[') => self.section(line)?,
                Some(b'#') => self.directive(line, path, number, depth)?,
                Some(_) => self.line(line, path, number)?,
            }
        }
        (nested == 0).then_some(())
    }

    /// `[name]`, `[name](!)`, `[name](+)`, `[name](template,…)`.
    fn section(&mut self, line: &[u8]) -> Option<()> {
        // A header without its bracket is the end of a file that is still being written.
        let end = line.iter().position(|octet| *octet == b']')?;
        let name: Box<str> = String::from_utf8_lossy(line[1..end].trim_ascii()).into();
        let options = line[end + 1..].trim_ascii();
        let options = match options.first() {
            Some(b'(') => &options[1..options.iter().position(|octet| *octet == b')')?],
            _ => b"",
        };
        self.spend(0, 1)?;
        let (mut of, mut is_template, mut lines) = (None, false, Vec::new());
        for option in options.split(|octet| *octet == b',').map(<[u8]>::trim_ascii) {
            match option {
                b"" => {}
                b"!" => is_template = true,
                // What follows is added to it.
                b"+" => of = self.by_name.get(&name.to_ascii_lowercase()).copied(),
                template => {
                    let template = String::from_utf8_lossy(template);
                    let at = self.by_name.get(&template.to_ascii_lowercase()).copied();
                    let Some(from) = at.and_then(|at| self.sections.get(at)) else {
                        self.remark(format!("there is no template [{template}]"));
                        continue;
                    };
                    let inherited = from.lines.clone();
                    let octets = inherited.iter().map(|(key, value)| key.len() + value.len()).sum();
                    self.spend(octets, inherited.len())?;
                    lines.extend(inherited);
                }
            }
        }
        let added = of.and_then(|at| Some((at, self.sections.get_mut(at)?)));
        if let Some((at, section)) = added {
            section.is_template |= is_template;
            section.lines.append(&mut lines);
            self.current = at;
        } else {
            self.current = self.sections.len();
            self.by_name.insert(name.to_ascii_lowercase(), self.current);
            self.sections.push(Section { name, is_template, lines });
        }
        Some(())
    }

    fn directive(&mut self, line: &[u8], path: &Path, number: usize, depth: usize) -> Option<()> {
        let line = String::from_utf8_lossy(line);
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
        let name = rest.trim().trim_matches(['"', '<', '>']);
        let place = format!("{}:{number}", path.display());
        match word {
            "#include" | "#tryinclude" if name.contains(['*', '?', '[']) => {
                self.remark(format!("{place}: a pattern of files is not included"));
            }
            "#include" | "#tryinclude" if depth >= DEPTH_MAX || self.parsed.files.len() >= FILES_MAX => {
                self.remark(format!("{place}: too many files include one another"));
            }
            "#include" | "#tryinclude" => {
                let path = self.folder.join(name);
                match self.open(&path) {
                    Ok(octets) => return self.text(&octets, &path, depth + 1),
                    Err(error) if word == "#tryinclude" && is_not_there(&error) => {}
                    Err(_) => return None,
                }
            }
            "#exec" => self.remark(format!("{place}: #exec is not run: no program of this file is")),
            _ => self.remark(format!("{place}: {word} is not understood")),
        }
        Some(())
    }

    /// `key = value` or `key => value`.
    fn line(&mut self, line: &[u8], path: &Path, number: usize) -> Option<()> {
        self.spend(0, 1)?;
        let equals = line.iter().position(|octet| *octet == b'=');
        let Some((equals, section)) = equals.zip(self.sections.get_mut(self.current)) else {
            self.remark(format!("{}:{number}: neither a section nor a setting", path.display()));
            return Some(());
        };
        let (key, value) = (line[..equals].trim_ascii(), &line[equals + 1..]);
        let value = value.strip_prefix(b">").unwrap_or(value).trim_ascii();
        section.lines.push((key.into(), Zeroizing::new(value.to_vec())));
        Some(())
    }

    fn remark(&mut self, remark: String) {
        if self.parsed.remarks.len() < REMARKS_MAX {
            self.parsed.remarks.push(remark);
        }
    }

    fn finish(mut self) -> Parsed {
        let sections = std::mem::take(&mut self.sections);
        let general = |key: &str| {
            let general = sections.iter().filter(|section| section.name.eq_ignore_ascii_case("general"));
            let mut lines = general.flat_map(|section| &section.lines);
            lines.find(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes())).map(|(_, value)| &value[..])
        };
        let all_in_spool =
            general("passwordlocation").is_some_and(|place| place.eq_ignore_ascii_case(b"spooldir"));
        let aliases = general("aliasescontext").map(|name| String::from_utf8_lossy(name).into_owned());
        for section in &sections {
            let no_mailboxes = ["general", "zonemessages"].into_iter().chain(aliases.as_deref());
            if section.is_template
                || no_mailboxes.into_iter().any(|name| section.name.eq_ignore_ascii_case(name))
            {
                continue;
            }
            let named = || Context { name: section.name.clone(), mailboxes: HashMap::new() };
            let context =
                self.parsed.contexts.entry(section.name.to_lowercase().into()).or_insert_with(named);
            for (number, value) in &section.lines {
                let Ok(number) = std::str::from_utf8(number) else { continue };
                // Asterisk keeps the first of two mailboxes with one number.
                context.mailboxes.entry(number.into()).or_insert_with(|| mailbox(value, all_in_spool));
            }
        }
        self.parsed
    }
}

/// `password,full name,email,pager,options`; options are parted by `|`, and some write `,|` before them.
fn mailbox(value: &[u8], all_in_spool: bool) -> Mailbox {
    let mut fields = value.split(|octet| *octet == b',');
    let pin = fields.next().unwrap_or_default().trim_ascii();
    let mut options =
        fields.skip(3).flat_map(|field| field.split(|octet| *octet == b'|')).map(<[u8]>::trim_ascii);
    let place = options.find_map(|option| option.strip_prefix(b"passwordlocation="));
    Mailbox {
        // The sign says who may change it and is no part of it.
        pin: Zeroizing::new(pin.strip_prefix(b"-").unwrap_or(pin).to_vec()),
        in_spool: place.map_or(all_in_spool, |place| place.eq_ignore_ascii_case(b"spooldir")),
    }
}

/// True if that is why a file that may be missing cannot be opened.
pub(super) fn is_not_there(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// The PIN in a `secret.conf`: `password` of its section `[general]`. `None`: there is none.
pub(super) fn secret_conf(octets: Zeroizing<Vec<u8>>) -> Option<Zeroizing<Vec<u8>>> {
    // It includes nothing.
    let mut open = |_: &Path| Err(ErrorKind::NotFound.into());
    let mut reader = Reader::new(&mut open, Path::new(""));
    reader.text(&octets, Path::new("secret.conf"), DEPTH_MAX)?;
    let mut lines =
        reader.sections.iter().filter(|section| *section.name == *"general").flat_map(|it| &it.lines);
    lines.find(|(key, _)| **key == *b"password").map(|(_, pin)| pin.clone())
}

/// `line` without what stands in comments: from `;` to its end, and whole lines between `;--` and `--;`. `\;` is a
/// semicolon.
fn without_comments(line: &[u8], nested: &mut usize) -> Zeroizing<Vec<u8>> {
    let mut kept = Zeroizing::new(Vec::with_capacity(line.len()));
    let mut rest = line;
    while let Some((&octet, after)) = rest.split_first() {
        if *nested > 0 {
            match rest {
                [b'-', b'-', b';', after @ ..] => (*nested, rest) = (*nested - 1, after),
                [b';', b'-', b'-', ..] if rest.get(3) != Some(&b'-') => {
                    (*nested, rest) = (*nested + 1, &rest[3..])
                }
                _ => rest = after,
            }
            continue;
        }
        match rest {
            [b'\\', b';', after @ ..] => {
                kept.push(b';');
                rest = after;
            }
            // `;---` is a line drawn by hand, and a comment like any other.
            [b';', b'-', b'-', ..] if rest.get(3) != Some(&b'-') => (*nested, rest) = (1, &rest[3..]),
            [b';', ..] => break,
            _ => {
                kept.push(octet);
                rest = after;
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `main`, which may include `others`.
    fn read(main: &str, others: &[(&str, &str)]) -> Option<Parsed> {
        parse(Path::new("/etc/asterisk/voicemail.conf"), &mut |path| {
            let name = path.strip_prefix("/etc/asterisk").unwrap().to_str().unwrap();
            let other = || others.iter().find(|it| it.0 == name).map(|it| it.1);
            let text = if name == "voicemail.conf" { Some(main) } else { other() };
            let text = text.ok_or(ErrorKind::NotFound)?;
            Ok(Zeroizing::new(text.as_bytes().to_vec()))
        })
    }

    fn pin(parsed: &Parsed, context: &str, number: &str) -> Option<String> {
        let mailbox = parsed.contexts.get(context)?.mailboxes.get(number)?;
        Some(String::from_utf8(mailbox.pin.to_vec()).unwrap())
    }

    fn pins(main: &str, context: &str, numbers: &[&str]) -> Vec<Option<String>> {
        let parsed = read(main, &[]).unwrap();
        numbers.iter().map(|number| pin(&parsed, context, number)).collect()
    }

    const SAMPLE: &str = "\
[general]
format=wav49|gsm|wav
aliasescontext=others
[zonemessages]
eastern=America/New_York|'vm-received' Q 'digits/at' IMp
[default]
1234 => 4242,Example Mailbox,root@localhost
4200 => 9855,Mark Spencer,mark@example.net,pager@example.net,attach=no|tz=central|maxmsg=10
4310 => -5432,Sales,sales@example.net
4069 = 6522,Matt Brooks,matt@example.net,,|tz=central|attach=yes|passwordlocation=spooldir
[others]
1234 => 1234@default
[Annex]
1234 => 5678,Company2 User,root@localhost
";

    #[test]
    fn mailboxes_are_those_of_their_context() {
        let parsed = read(SAMPLE, &[]).unwrap();

        assert_eq!(pin(&parsed, "default", "1234").as_deref(), Some("4242"));
        assert_eq!(pin(&parsed, "default", "4200").as_deref(), Some("9855"));
        assert_eq!(pin(&parsed, "default", "4310").as_deref(), Some("5432"), "without its sign");
        assert_eq!(pin(&parsed, "default", "4069").as_deref(), Some("6522"));
        assert_eq!(pin(&parsed, "annex", "1234").as_deref(), Some("5678"), "another person");
        let contexts: std::collections::BTreeSet<_> = parsed.contexts.keys().map(|name| &**name).collect();
        assert_eq!(contexts, ["annex", "default"].into());
        let mailboxes = &parsed.contexts["default"].mailboxes;
        assert!(mailboxes["4069"].in_spool && !mailboxes["4200"].in_spool);
        assert!(parsed.remarks.is_empty(), "{:?}", parsed.remarks);
    }

    #[test]
    fn comments_are_no_mailboxes() {
        let text = "[default]\n;1 => 1111\n2 => 2222 ; his wife's birthday\n;-- block\n3 => 3333\n;-- nested --;\n\
                    4 => 4444\n--; 5 => 5555\n;--- a line ---\n6 => 66\\;66,Six\n";

        let read = pins(text, "default", &["1", "2", "3", "4", "5", "6"]);

        assert_eq!(read, [None, Some("2222".into()), None, None, Some("5555".into()), Some("66;66".into())]);
    }

    #[test]
    fn empty_pins_are_empty() {
        let read = pins("[default]\n1 => ,Nobody\n2 => -\n3 =>\n", "default", &["1", "2", "3"]);

        assert_eq!(read, [Some(String::new()), Some(String::new()), Some(String::new())]);
    }

    #[test]
    fn templates_give_what_they_have_and_are_no_contexts() {
        let text = "[base](!)\n1 => 1111\n[default](base)\n2 => 2222\n[annex](base)\n1 => 9999\n[default](+)\n3 => 3333\n\
                    [odd](missing)\n";
        let parsed = read(text, &[]).unwrap();

        let numbers = ["1", "2", "3"];
        let of = |context| numbers.map(|number| pin(&parsed, context, number).unwrap_or_default());
        assert_eq!(of("default"), ["1111", "2222", "3333"]);
        assert_eq!(of("annex"), ["1111", "", ""], "the first of two counts");
        assert!(!parsed.contexts.contains_key("base"));
        assert_eq!(parsed.remarks, ["there is no template [missing]"]);
    }

    #[test]
    fn included_files_count_and_programs_are_not_run() {
        let main = "#include \"people.conf\"\n#exec /usr/bin/mailboxes\n#include <parts/*.conf>\n#tryinclude none.conf\n";
        let parsed = read(main, &[("people.conf", "[default]\n1 => 1111\n")]).unwrap();

        assert_eq!(pin(&parsed, "default", "1").as_deref(), Some("1111"));
        assert_eq!(parsed.files.len(), 3);
        assert!(parsed.remarks.iter().any(|remark| remark.contains("voicemail.conf:2: #exec is not run")));
        assert!(parsed.remarks.iter().any(|remark| remark.contains(":3: a pattern")), "{:?}", parsed.remarks);
    }

    #[test]
    fn half_a_file_is_none() {
        for text in [
            "[default]\n1 => 1111\n[ann",
            "[default]\n;-- never ends\n",
            "#include \"missing.conf\"\n",
            "[a](+",
        ] {
            assert!(read(text, &[]).is_none(), "{text}");
        }
    }

    #[test]
    fn relative_paths_start_from_the_configuration_folder() {
        let parsed = read(
            "#include \"parts/people.conf\"\n",
            &[("parts/people.conf", "#include \"more.conf\"\n"), ("more.conf", "[default]\n1 => 1111\n")],
        );

        assert_eq!(pin(&parsed.unwrap(), "default", "1").as_deref(), Some("1111"));
    }

    #[test]
    fn only_a_file_that_is_not_there_may_be_missing() {
        let main = "#tryinclude more.conf\n[default]\n1 => 1111\n";
        for (more, is_read) in [
            (Ok("[annex]\n2 => 2222\n"), true),
            (Err(ErrorKind::NotFound), true),
            (Err(ErrorKind::PermissionDenied), false),
            (Ok("[ann"), false),
            (Ok("#include missing.conf\n"), false),
        ] {
            let parsed = parse(Path::new("/etc/asterisk/voicemail.conf"), &mut |path| {
                let text = match path.file_name().unwrap().to_str().unwrap() {
                    "voicemail.conf" => main,
                    "more.conf" => more?,
                    _ => return Err(ErrorKind::NotFound.into()),
                };
                Ok(Zeroizing::new(text.as_bytes().to_vec()))
            });
            assert_eq!(parsed.is_some(), is_read, "{more:?}");
        }
    }

    #[test]
    fn templates_that_double_come_to_an_end() {
        let doubled = |times: usize| {
            let mut text = "[a0](!)\n1 => 1111\n".to_owned();
            for n in 1..=times {
                text += &format!("[a{n}](a{0},a{0})\n", n - 1);
            }
            read(&text, &[])
        };

        assert!(doubled(10).is_some());
        assert!(doubled(60).is_none());
    }

    #[test]
    fn what_is_included_counts_as_a_part_of_the_whole() {
        let third = format!("[default]\n{}\n", ";".repeat(OCTETS_MAX / 3));
        let others = [("third.conf", &*third)];

        assert!(read(&"#include third.conf\n".repeat(2), &others).is_some());
        assert!(read(&"#include third.conf\n".repeat(3), &others).is_none());
    }

    #[test]
    fn files_that_include_one_another_come_to_an_end() {
        let parsed = read(
            "#include \"a.conf\"\n[x]\n1 => 1\n",
            &[("a.conf", "#include \"a.conf\"\n#include \"a.conf\"\n")],
        );

        let parsed = parsed.unwrap();
        assert!(parsed.files.len() <= FILES_MAX && !parsed.remarks.is_empty());
        assert_eq!(pin(&parsed, "x", "1").as_deref(), Some("1"));
    }

    #[test]
    fn whatever_octets_come_nothing_panics() {
        let mut octets: Vec<u8> = SAMPLE.bytes().chain(*b"[a](!,b)\n#include\n;--\n--;\\;=>").collect();
        for seed in 0..2_000_usize {
            let at = seed * 7919 % octets.len();
            octets[at] = octets[at].wrapping_mul(31).wrapping_add(seed as u8);
            let text = octets.clone();
            let _ = parse(Path::new("x"), &mut |_| Ok(Zeroizing::new(text.clone())));
        }
    }

    #[test]
    fn pin_of_a_spool_is_that_of_its_secret() {
        let secret =
            |text: &str| secret_conf(Zeroizing::new(text.as_bytes().to_vec())).map(|pin| pin.to_vec());

        assert_eq!(secret("[general]\npassword = 7738\n"), Some(b"7738".to_vec()));
        assert_eq!(secret("[general]\n"), None);
        assert_eq!(secret("[gen"), None);
    }
}
