//! Whatever is done in whatever order, on a disk that fails or not.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Act>),
    Fold,
    FoldWhole,
    Reopen,
    Kill,
    PowerCut(u64),
    Break { act: Act, wait_for_room: bool },
}

#[derive(Clone, Debug)]
enum Act {
    LogIn(u8, u8),
    End(u8),
    Owe(u8),
    UnRegister(u8),
    Bind(u8, Vec<u8>),
    Unbind(u8),
    Pin(u8, Option<u64>),
    Key(u8),
}

impl Act {
    fn entry(&self, model: &mut Model) -> Entry {
        match self {
            Self::LogIn(device, extension) => {
                model.change(&format!("desk-{device}"), Some(&format!("100{extension}")))
            }
            Self::End(device) => model.change(&format!("desk-{device}"), None),
            Self::Owe(device) => model.owe(&format!("desk-{device}")),
            Self::UnRegister(device) => model.un_register(&format!("desk-{device}")),
            Self::Bind(aor, record) => model.bind(&format!("demo/{aor}"), Some(record)),
            Self::Unbind(aor) => model.bind(&format!("demo/{aor}"), None),
            Self::Pin(extension, at) => model.pin(&format!("100{extension}"), *at),
            Self::Key(id) => model.key(*id),
        }
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..6_u8, 0..6_u8).prop_map(|(device, extension)| Act::LogIn(device, extension)),
        (0..6_u8).prop_map(Act::End),
        (0..6_u8).prop_map(Act::Owe),
        (0..6_u8).prop_map(Act::UnRegister),
        (0..12_u8, prop::collection::vec(any::<u8>(), 0..600))
            .prop_map(|(aor, record)| Act::Bind(aor, record)),
        (0..12_u8).prop_map(Act::Unbind),
        (0..6_u8, any::<Option<u64>>()).prop_map(|(extension, at)| Act::Pin(extension, at)),
        any::<u8>().prop_map(Act::Key),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => prop::collection::vec(act(), 1..8).prop_map(Step::Append),
        6 => Just(Step::Fold),
        1 => Just(Step::FoldWhole),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        2 => any::<u64>().prop_map(Step::PowerCut),
        1 => (act(), any::<bool>()).prop_map(|(act, wait_for_room)| Step::Break { act, wait_for_room }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order, the store holds what it acknowledged and nothing else.
    #[test]
    fn the_store_agrees_with_a_model(steps in prop::collection::vec(step(), 1..40)) {
        let mut disk = Disk::default();
        let mut model = Model::default();
        let (mut store, ..) = open(&disk);
        for step in steps {
            match step {
                Step::Append(acts) => {
                    let group: Vec<_> = acts.iter().map(|act| act.entry(&mut model)).collect();
                    append(&mut store, &group).unwrap();
                }
                Step::Fold => drop(store.fold_step().unwrap()),
                Step::FoldWhole => fold_whole(&mut store),
                Step::Reopen => {
                    drop(store);
                    store = open(&disk).0;
                }
                Step::Kill => {
                    disk = disk.after_kill();
                    store = open(&disk).0;
                }
                Step::PowerCut(seed) => {
                    disk = disk.after_power_cut(seed);
                    store = open(&disk).0;
                }
                Step::Break { act, wait_for_room } => {
                    let entry = act.entry(&mut model.clone());
                    disk.set_broken(true);
                    append(&mut store, &[entry]).unwrap_err();
                    if wait_for_room {
                        store.recover().unwrap_err();
                    }
                    disk.set_broken(false);
                    store.recover().unwrap();
                }
            }
            prop_assert_eq!(&found(&disk.after_kill()), &model);
        }
    }
}
