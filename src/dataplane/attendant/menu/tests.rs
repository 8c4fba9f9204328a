use super::*;

fn begin(goal: Goal, known: Known) -> (Menu, Step) {
    Menu::start(goal, known, 3)
}

fn log_in() -> Menu {
    let (menu, step) = begin(Goal::LogIn, Known::default());
    assert_eq!(said(&step), ["enter-extension"]);
    menu
}

/// The words of an announcement; a digit is its character.
fn said(step: &Step) -> Vec<String> {
    let (Step::Say(clips) | Step::Leave(clips)) = step else { panic!("{step:?} says nothing") };
    let word = |clip: &Clip| match clip {
        Clip::Word(name) => Some((*name).to_owned()),
        Clip::Digit(digit) => Some(char::from(*digit).to_string()),
        Clip::Pause(_) => None,
    };
    clips.iter().filter_map(word).collect()
}

/// Presses keys one after the other; what the last one led to.
fn keys(menu: &mut Menu, keys: &str) -> Step {
    keys.bytes().map(|key| menu.key(key)).last().expect("a key")
}

fn asked_for(step: Step) -> (String, Pin, bool) {
    match step {
        Step::Act(Act::LogIn { extension, pin, force }) => (extension.into(), pin, force),
        other => panic!("{other:?} is no log-in"),
    }
}

#[test]
fn extension_and_pin_are_asked_for_one_after_the_other() {
    let mut menu = log_in();

    assert_eq!(said(&keys(&mut menu, "1001#")), ["enter-pin"]);
    let (extension, pin, force) = asked_for(keys(&mut menu, "7738#"));

    assert_eq!((&*extension, pin.reveal(), force), ("1001", &b"7738"[..], false));
    assert!(matches!(menu.key(b'5'), Step::Wait), "nothing is listened to while it is decided");
}

#[test]
fn silence_ends_an_entry_as_a_hash_does() {
    let mut menu = log_in();
    keys(&mut menu, "1001");

    assert_eq!(said(&menu.silence()), ["enter-pin"]);
    keys(&mut menu, "7738");
    assert_eq!(asked_for(menu.silence()).1.reveal(), b"7738");
}

#[test]
fn star_starts_an_entry_again_and_at_once_leads_back() {
    let mut menu = log_in();
    assert_eq!(said(&keys(&mut menu, "99*")), ["enter-extension"]);
    keys(&mut menu, "1001#");
    assert_eq!(said(&keys(&mut menu, "12*")), ["enter-pin"]);
    assert_eq!(said(&menu.key(b'*')), ["enter-extension"]);
    keys(&mut menu, "1002#");

    assert_eq!(&*asked_for(keys(&mut menu, "2468#")).0, "1002");
}

#[test]
fn dialled_extension_is_not_asked_for() {
    let known = Known { extension: Some("1001".into()), ..Known::default() };
    let (mut menu, step) = begin(Goal::LogIn, known);

    assert_eq!(said(&step), ["enter-pin"]);
    assert_eq!(said(&menu.key(b'*')), ["enter-pin"], "there is nothing to go back to");
    assert_eq!(&*asked_for(keys(&mut menu, "7738#")).0, "1001");
}

#[test]
fn last_person_gives_the_pin_alone_and_anybody_else_presses_star() {
    let known = || Known { last: Some("1001".into()), ..Known::default() };
    let (mut menu, step) = begin(Goal::LogIn, known());
    assert_eq!(said(&step), ["for-extension", "1", "0", "0", "1", "or-star", "enter-pin"]);
    assert_eq!(&*asked_for(keys(&mut menu, "7738#")).0, "1001");

    let (mut menu, _) = begin(Goal::LogIn, known());
    assert_eq!(said(&menu.key(b'*')), ["enter-extension"]);
    keys(&mut menu, "1002#");
    assert_eq!(&*asked_for(keys(&mut menu, "2468#")).0, "1002");
}

#[test]
fn three_tries_and_no_more() {
    let mut menu = log_in();
    for left in (0..3).rev() {
        keys(&mut menu, "1001#");
        keys(&mut menu, "0000#");
        let step = menu.refused(Refusal::Credentials, None);
        if left > 0 {
            assert!(matches!(step, Step::Say(_)));
            assert_eq!(said(&step), ["wrong", "enter-extension"]);
        } else {
            assert!(matches!(step, Step::Leave(_)));
            assert_eq!(said(&step), ["wrong", "goodbye"]);
        }
    }
    assert!(matches!(menu.key(b'1'), Step::Wait));
}

#[test]
fn silence_and_empty_entries_cost_a_try_each() {
    let mut menu = log_in();

    assert_eq!(said(&menu.silence()), ["nothing-heard", "enter-extension"]);
    assert_eq!(said(&menu.key(b'#')), ["nothing-heard", "enter-extension"]);
    assert_eq!(said(&menu.silence()), ["nothing-heard", "goodbye"]);
}

#[test]
fn entry_too_long_for_anything_is_wrong() {
    let mut menu = log_in();

    let step = keys(&mut menu, &("1".repeat(Pin::LENGTH_MAX + 1) + "#"));

    assert_eq!(said(&step), ["wrong", "enter-extension"]);
}

#[test]
fn other_refusals_are_said_and_end_the_call() {
    let mut menu = log_in();
    keys(&mut menu, "1001#");
    keys(&mut menu, "7738#");

    let step = menu.refused(Refusal::Locked, None);

    assert!(matches!(step, Step::Leave(_)));
    assert_eq!(said(&step), ["locked", "goodbye"]);
}

#[test]
fn device_in_use_is_taken_over_with_one_and_with_nothing_else() {
    for (key, takes) in [(b'1', true), (b'2', false), (b'#', false)] {
        let mut menu = log_in();
        keys(&mut menu, "1001#");
        keys(&mut menu, "7738#");
        let step = menu.refused(Refusal::DeviceOccupied, Some("1002"));
        assert_eq!(said(&step), ["in-use", "1", "0", "0", "2", "ask-take-over"]);

        let step = menu.key(key);
        if takes {
            let (extension, pin, force) = asked_for(step);
            assert_eq!((&*extension, pin.reveal(), force), ("1001", &b"7738"[..], true));
        } else {
            assert_eq!(said(&step), ["goodbye"]);
        }
    }
}

#[test]
fn device_in_use_is_refused_where_nobody_is_asked() {
    let mut menu = log_in();
    keys(&mut menu, "1001#");
    keys(&mut menu, "7738#");

    assert_eq!(said(&menu.refused(Refusal::DeviceOccupied, None)), ["occupied", "goodbye"]);
}

#[test]
fn log_out_that_needs_no_proof_is_asked_for_at_once() {
    let known = Known { extension: Some("1001".into()), needs_no_pin: true, ..Known::default() };
    let (_, step) = begin(Goal::LogOut, known);

    assert!(matches!(step, Step::Act(Act::LogOut { extension: Some(_), pin: None })));
}

#[test]
fn no_digit_shows_in_debug_output() {
    let mut menu = log_in();
    keys(&mut menu, "1001#");
    keys(&mut menu, "7738");

    let shown = format!("{menu:?} {:?}", menu.silence());

    assert!(!shown.contains("7738") && !shown.contains("55"), "{shown}");
}

fn change_asked_for(step: Step) -> (String, Pin, Pin) {
    match step {
        Step::Act(Act::ChangePin { extension, old, new }) => (extension.into(), old, new),
        other => panic!("{other:?} is no change of a PIN"),
    }
}

#[test]
fn new_pin_is_asked_for_twice_and_must_be_the_same() {
    let known = Known { extension: Some("1001".into()), ..Known::default() };
    let (mut menu, step) = begin(Goal::ChangePin, known);
    assert_eq!(said(&step), ["enter-pin"]);
    assert_eq!(said(&keys(&mut menu, "7738#")), ["enter-new-pin"]);
    assert_eq!(said(&keys(&mut menu, "2580#")), ["new-pin-again"]);

    assert_eq!(said(&keys(&mut menu, "2581#")), ["pin-differs", "enter-new-pin"]);
    keys(&mut menu, "2580#");
    let (extension, old, new) = change_asked_for(keys(&mut menu, "2580#"));

    assert_eq!((&*extension, old.reveal(), new.reveal()), ("1001", &b"7738"[..], &b"2580"[..]));
    assert_eq!(said(&menu.pin_changed()), ["pin-changed", "goodbye"]);
}

#[test]
fn weak_new_pin_costs_a_try_and_silence_does_not_lead_back_to_the_old_one() {
    let (mut menu, _) = begin(Goal::ChangePin, Known::default());
    keys(&mut menu, "1001#7738#1234#1234#");

    assert_eq!(said(&menu.refused(Refusal::PinTooSimple, None)), ["pin-too-simple", "enter-new-pin"]);
    assert_eq!(said(&menu.silence()), ["nothing-heard", "enter-new-pin"]);
    keys(&mut menu, "1234#1234#");
    assert_eq!(said(&menu.refused(Refusal::PinTooSimple, None)), ["pin-too-simple", "goodbye"]);
}

#[test]
fn pin_that_must_change_is_changed_and_the_log_in_goes_on_with_the_new_one() {
    let mut menu = log_in();
    keys(&mut menu, "1001#7738#");

    assert_eq!(said(&menu.refused(Refusal::PinMustChange, None)), ["pin-must-change", "enter-new-pin"]);
    let (_, old, _) = change_asked_for(keys(&mut menu, "2580#2580#"));
    assert_eq!(old.reveal(), b"7738");
    let (extension, pin, _) = asked_for(menu.pin_changed());

    assert_eq!((&*extension, pin.reveal()), ("1001", &b"2580"[..]));
    assert_eq!(
        said(&menu.granted(Sentence::of(&[words::LOGGED_OUT]))),
        ["pin-changed", "logged-out", "goodbye"]
    );
}

#[test]
fn what_was_keyed_in_or_dialled_is_shown_by_no_debug() {
    use crate::attendant::Wish;
    use crate::hotdesk::Place;

    let mut menu = log_in();
    keys(&mut menu, "7738#");
    let shown = format!("{menu:?}");
    let step = keys(&mut menu, "7738#");
    let extension = || Box::<str>::from("7738");
    let place = || Place::new("demo", "7738");
    let pin = || Pin::new(b"7738");
    let all = [
        shown,
        format!("{step:?}"),
        format!("{:?}", Known { extension: Some(extension()), last: Some(extension()), needs_no_pin: false }),
        format!("{:?}", Act::LogOut { extension: Some(extension()), pin: Some(pin()) }),
        format!("{:?}", Act::ChangePin { extension: extension(), old: pin(), new: pin() }),
        format!("{:?}", Wish::LogIn { extension: Some(extension()), last: Some(place()) }),
        format!("{:?}", Wish::LogOut { extension: extension() }),
        format!("{:?}", Wish::LogOutOf { extension: place(), needs_pin: true }),
        format!("{:?}", Wish::ChangePin { extension: Some(place()) }),
    ];

    assert!(all.iter().all(|shown| !shown.contains("7738")), "{all:#?}");
}
