//! A bounded table whose keys never name the wrong entry: slot and generation in one number.

/// Names an entry of one [`Slots`]: generation (32 bits), slot (32 bits).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SlotKey(pub(crate) u64);

/// Entries are added by so many, and stay where they are: a table that grew by moving all of them would keep everybody waiting
/// meanwhile. So few that a table which is hardly used stays small.
const CHUNK: usize = 64;

/// Entries with keys that go stale instead of wrong. Slots are reused, the most recently freed first.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    /// Each of [`CHUNK`] slots but the last, which has fewer: their generations and what is in them.
    chunks: Vec<Vec<(u32, Option<T>)>>,
    /// Slots there are.
    count: usize,
    free: Vec<u32>,
    len_max: usize,
    first_generation: u32,
}

impl<T> Slots<T> {
    pub(crate) fn new(len_max: usize) -> Self {
        Self::beginning_after(0, len_max)
    }

    /// An empty table whose generations begin after `first_generation`: a random one makes keys that an earlier table
    /// gave out find nothing here.
    pub(crate) fn beginning_after(first_generation: u32, len_max: usize) -> Self {
        Self { chunks: Vec::new(), count: 0, free: Vec::new(), len_max, first_generation }
    }

    /// Adds an entry; `None`, and the entry is dropped, when the table is full.
    pub(crate) fn insert(&mut self, entry: T) -> Option<SlotKey> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.count < self.len_max => self.add_slot(),
            None => return None,
        };
        let (generation, place) = self.slot_mut(slot).expect("a free slot is there");
        *generation = generation.wrapping_add(1);
        *place = Some(entry);
        Some(SlotKey(u64::from(*generation) << 32 | u64::from(slot)))
    }

    fn add_slot(&mut self) -> u32 {
        if self.count.is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK.min(self.len_max - self.count)));
        }
        let chunk = self.chunks.last_mut().expect("one was added with the first slot");
        chunk.push((self.first_generation, None));
        self.count += 1;
        (self.count - 1) as u32
    }

    fn slot_mut(&mut self, slot: u32) -> Option<&mut (u32, Option<T>)> {
        self.chunks.get_mut(slot as usize / CHUNK)?.get_mut(slot as usize % CHUNK)
    }

    pub(crate) fn get(&self, key: SlotKey) -> Option<&T> {
        let slot = key.0 as u32 as usize;
        let (generation, entry) = self.chunks.get(slot / CHUNK)?.get(slot % CHUNK)?;
        if u64::from(*generation) == key.0 >> 32 { entry.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: SlotKey) -> Option<&mut T> {
        let (generation, entry) = self.slot_mut(key.0 as u32)?;
        if u64::from(*generation) == key.0 >> 32 { entry.as_mut() } else { None }
    }

    pub(crate) fn remove(&mut self, key: SlotKey) -> Option<T> {
        let slot = key.0 as u32;
        let (generation, entry) = self.slot_mut(slot)?;
        if u64::from(*generation) != key.0 >> 32 {
            return None;
        }
        let entry = entry.take();
        if entry.is_some() {
            self.free.push(slot);
        }
        entry
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten().filter_map(|(_, entry)| entry.as_ref())
    }

    /// True if nothing can be added.
    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.count >= self.len_max
    }

    pub(crate) fn len(&self) -> usize {
        self.count - self.free.len()
    }

    pub(crate) fn len_max(&self) -> usize {
        self.len_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_an_earlier_table_finds_nothing() {
        let mut earlier = Slots::beginning_after(7, 2);
        let mut slots = Slots::beginning_after(u32::MAX, 2);
        let of_before = earlier.insert('a').unwrap();
        let own = slots.insert('b').unwrap();

        assert_eq!(slots.remove(of_before), None);
        assert_eq!(slots.remove(own), Some('b'));
    }

    #[test]
    fn entries_stay_where_they_are_while_the_table_grows() {
        let mut slots = Slots::new(1_000);
        let keys: Vec<_> = (0..CHUNK + 1).map(|number| slots.insert(number).unwrap()).collect();
        let places = |slots: &Slots<usize>| -> Vec<_> {
            keys.iter().map(|key| std::ptr::from_ref(slots.get(*key).unwrap())).collect()
        };
        let before = places(&slots);

        let more = (keys.len()..2_000).filter_map(|number| slots.insert(number)).count();

        assert_eq!(keys.len() + more, 1_000);
        assert_eq!(places(&slots), before);
        assert!(slots.iter().copied().eq(0..1_000));
        assert!(slots.is_full());
    }

    #[test]
    fn a_stale_key_finds_nothing_and_the_table_is_bounded() {
        let mut slots = Slots::new(2);
        let first = slots.insert('a').unwrap();
        let second = slots.insert('b').unwrap();

        assert_eq!(slots.insert('c'), None);
        assert_eq!(slots.remove(first), Some('a'));
        let third = slots.insert('c').unwrap();

        assert_ne!(first, third);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(third), Some(&'c'));
        assert_eq!(slots.get(second), Some(&'b'));
        assert_eq!(slots.len(), 2);
    }
}
