//! A disk in memory that loses power, runs full and breaks when a test says so.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// One file on it. Clones are the same file.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// As the process sees it.
    live: Vec<u8>,
    /// As of the last sync.
    synced: Vec<u8>,
    /// What was written since.
    unsynced: Vec<Change>,
    /// The file does not grow beyond this.
    room: Option<usize>,
    /// Nothing can be written or synced.
    broken: bool,
    syncs: u64,
}

#[derive(Debug)]
enum Change {
    Length(usize),
    Octets { at: usize, octets: Vec<u8> },
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Self::Length(length) => file.resize(*length, 0),
            Self::Octets { at, octets } => {
                if file.len() < at + octets.len() {
                    file.resize(at + octets.len(), 0);
                }
                file[*at..at + octets.len()].copy_from_slice(octets);
            }
        }
    }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The file as it is found after a power cut at this moment: all that was synced, and of what was not any
    /// part, in sectors of 512 octets, chosen by `seed`.
    pub(super) fn after_power_cut(&self, mut seed: u64) -> Self {
        let mut chance = move || {
            // SplitMix64.
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31) & 1 == 1
        };
        let state = self.state();
        let mut file = state.synced.clone();
        for change in &state.unsynced {
            match change {
                Change::Length(_) => change.apply(&mut file),
                Change::Octets { at, octets } => {
                    for (index, sector) in octets.chunks(512).enumerate().filter(|_| chance()) {
                        Change::Octets { at: at + index * 512, octets: sector.to_vec() }.apply(&mut file);
                    }
                }
            }
        }
        Self::holding(file)
    }

    /// The file as `kill -9` leaves it: all that was written.
    pub(super) fn after_kill(&self) -> Self {
        Self::holding(self.state().live.clone())
    }

    fn holding(file: Vec<u8>) -> Self {
        let state = State { live: file.clone(), synced: file, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets the file grow by no more than `octets` from now on; `None`: without bound.
    pub(super) fn leave_room(&self, octets: Option<usize>) {
        let mut state = self.state();
        state.room = octets.map(|octets| state.live.len() + octets);
    }

    /// From now on nothing can be written, or everything again.
    pub(super) fn set_broken(&self, broken: bool) {
        self.state().broken = broken;
    }

    /// How often it was asked to make its content safe.
    pub(super) fn syncs(&self) -> u64 {
        self.state().syncs
    }
}

impl State {
    fn change(&mut self, change: Change) -> io::Result<()> {
        let end = match &change {
            Change::Length(length) => *length,
            Change::Octets { at, octets } => at + octets.len(),
        };
        if self.broken {
            return Err(io::Error::other("broken"));
        }
        if end > self.live.len() && self.room.is_some_and(|room| end > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        change.apply(&mut self.live);
        self.unsynced.push(change);
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().live.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = offset as usize;
        out.copy_from_slice(state.live.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.state().change(Change::Length(len as usize))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.broken {
            return Err(io::Error::other("broken"));
        }
        state.syncs += 1;
        let State { synced, unsynced, .. } = &mut *state;
        for change in unsynced.drain(..) {
            change.apply(synced);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.state().change(Change::Octets { at: offset as usize, octets: data.to_vec() })
    }
}
