//! One address-of-record as it lies in memory: a single block of octets, because a million Strings in Vecs cost
//! three times as much. Decoded into a [`Draft`] to be changed, encoded back as a whole.
//!
//! ```text
//!  0 u16 length of this record    8 u32 second for which it is on a wheel, 0: on none
//!  2 u8  flags                   12 u32 second since which the store lags behind, 0: it does not
//!  3 u8  bindings                16 u64 newest nonce that was put out
//!  4 u8  nonces                  24     tenant, user
//!  5 u8  worker of the wheel            nonces: u64 number, u32 highest count, u64 window, u32 print
//!  6 u8  length of the tenant           bindings, see `put_binding`
//!  7 u8  length of the user
//! ```
//!
//! A value of the table is a *bucket*: the records of all addresses-of-record with the same 64-bit hash, one after
//! the other. There is never more than one outside tests, but nothing goes wrong if there is.

use std::borrow::Cow;
use std::net::{SocketAddr, SocketAddrV6};
use std::ops::Range;

use super::binding::{Binding, Holder, Renewed, seconds_up};
use super::draft::{Armed, Draft};
use super::window::Slot;
use crate::auth::{NonceId, Proof};
use crate::flow::{ConnectionId, Flow, ListenerId, WorkerId};
use crate::now::Mono;

/// Octets of a tenant id or user; longer ones have no record.
pub const NAME_LENGTH_MAX: usize = u8::MAX as usize;

const HEAD: usize = 24;
const FLAG_DEVICE: u8 = 1;
const FLAG_INDEXED: u8 = 2;

const HAS_IPV6: u8 = 1;
const HAS_FLOW: u8 = 2;
const HAS_CONNECTION: u8 = 4;
const HAS_HOLDER: u8 = 8;
const HAS_REG_ID: u8 = 16;

/// The record of `tenant` and `user` within a bucket.
pub(super) fn find(bucket: &[u8], tenant: &str, user: &[u8]) -> Option<Range<usize>> {
    records(bucket).find(|range| name(&bucket[range.clone()]) == (tenant.as_bytes(), user))
}

/// Where each record of a bucket lies.
pub(super) fn records(bucket: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = bucket.get(at..at + 2)?;
        let start = at;
        at += usize::from(u16::from_le_bytes([length[0], length[1]]));
        (at >= start + HEAD && at <= bucket.len()).then_some(start..at)
    })
}

/// Tenant and user of a record.
pub(super) fn name(record: &[u8]) -> (&[u8], &[u8]) {
    let (tenant, rest) = record[HEAD..].split_at(usize::from(record[6]));
    (tenant, &rest[..usize::from(record[7])])
}

/// True if it is the account of a hot-desk device.
pub(super) fn is_of_device(record: &[u8]) -> bool {
    record[2] & FLAG_DEVICE != 0
}

/// True if an index may know the record.
pub(super) fn is_indexed(record: &[u8]) -> bool {
    record[2] & FLAG_INDEXED != 0
}

/// The entry of a record on a wheel, without decoding the rest.
pub(super) fn armed(record: &[u8]) -> Option<Armed> {
    let second = u32::from_le_bytes([record[8], record[9], record[10], record[11]]);
    (second != 0).then_some(Armed { worker: WorkerId(record[5]), second })
}

/// Notes the entry of a record on a wheel.
pub(super) fn set_armed(record: &mut [u8], armed: Armed) {
    record[5] = armed.worker.0;
    record[8..12].copy_from_slice(&armed.second.to_le_bytes());
}

/// The second since which the store lags behind, 0 if it does not.
pub(super) fn lagging_since(record: &[u8]) -> u32 {
    u32::from_le_bytes([record[12], record[13], record[14], record[15]])
}

/// Notes that the store has been told.
pub(super) fn set_told(record: &mut [u8]) {
    record[12..16].fill(0);
}

/// Reads a record that [`encode`] wrote.
pub(super) fn decode(record: &[u8], now: Mono) -> Draft<'_> {
    try_decode(record, now).expect("the table holds only what encode wrote")
}

fn try_decode(record: &[u8], now: Mono) -> Option<Draft<'_>> {
    let mut reader = Reader(record);
    reader.u16()?;
    let [flags, bindings, nonces, worker, tenant, user] = reader.array()?;
    let second = reader.u32()?;
    let lagging_since = reader.u32()?;
    let floor = reader.u64()?;
    reader.take(usize::from(tenant) + usize::from(user))?;
    let mut draft = Draft::empty(now);
    draft.device_account = flags & FLAG_DEVICE != 0;
    draft.armed = (second != 0).then_some(Armed { worker: WorkerId(worker), second });
    draft.lagging_since = lagging_since;
    draft.windows.floor = floor;
    for _ in 0..nonces {
        draft.windows.slots.push(Slot {
            nonce: NonceId(reader.u64()?),
            highest: reader.u32()?,
            seen: reader.u64()?,
            print: reader.u32()?,
        });
    }
    for _ in 0..bindings {
        draft.bindings.push(take_binding(&mut reader, Mono::from_seconds)?);
    }
    Some(draft)
}

/// Writes `draft` as a whole to `out`, which is emptied before. Names are at most [`NAME_LENGTH_MAX`] long.
pub(super) fn encode(draft: &Draft<'_>, tenant: &str, user: &[u8], out: &mut Vec<u8>) {
    debug_assert!(tenant.len() <= NAME_LENGTH_MAX && user.len() <= NAME_LENGTH_MAX);
    out.clear();
    let flags = if draft.device_account { FLAG_DEVICE } else { 0 };
    let flags = if draft.is_indexed() { flags | FLAG_INDEXED } else { flags };
    let armed = draft.armed.unwrap_or(Armed { worker: WorkerId(0), second: 0 });
    let mut head = [0; HEAD];
    head[2] = flags;
    head[3] = draft.bindings.len() as u8;
    head[4] = draft.windows.slots.len() as u8;
    head[5] = armed.worker.0;
    head[6] = tenant.len() as u8;
    head[7] = user.len() as u8;
    head[8..12].copy_from_slice(&armed.second.to_le_bytes());
    head[12..16].copy_from_slice(&draft.lagging_since.to_le_bytes());
    head[16..24].copy_from_slice(&draft.windows.floor.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(tenant.as_bytes());
    out.extend_from_slice(user);
    for slot in &draft.windows.slots {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&slot.nonce.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&slot.highest.to_le_bytes());
        bytes[12..20].copy_from_slice(&slot.seen.to_le_bytes());
        bytes[20..].copy_from_slice(&slot.print.to_le_bytes());
        out.extend_from_slice(&bytes);
    }
    for binding in &draft.bindings {
        put_binding(binding, seconds_up(binding.expires_at), out);
    }
    // Names, nonces and bindings at their largest are some 7 kB.
    let length = u16::try_from(out.len()).expect("a record is shorter than 64 kB");
    out[..2].copy_from_slice(&length.to_le_bytes());
}

/// The bindings of a record.
pub(super) fn bindings(record: &[u8]) -> impl Iterator<Item = Binding<'_>> {
    places(record).map(|(_, binding)| binding)
}

/// Each binding of a record and where it begins.
fn places(record: &[u8]) -> impl Iterator<Item = (usize, Binding<'_>)> {
    let start = nonces_start(record) + NONCE * usize::from(record[4]);
    let mut reader = Reader(&record[start..]);
    (0..record[3]).map(move |_| {
        let at = record.len() - reader.0.len();
        let binding = take_binding(&mut reader, Mono::from_seconds);
        (at, binding.expect("the table holds only what encode wrote"))
    })
}

fn nonces_start(record: &[u8]) -> usize {
    HEAD + usize::from(record[6]) + usize::from(record[7])
}

/// How a record is renewed in its place.
pub(super) struct Renewal {
    /// Where the binding begins.
    binding: usize,
    /// Where the nonce of the proof begins, and what becomes of its highest count and its window.
    nonce: Option<(usize, u32, u64)>,
    due: Mono,
    /// There is no other binding.
    is_only: bool,
}

impl Renewal {
    /// Finds the binding that `renewed` renews and the nonce it spends. `None`: something is not as it is at a mere
    /// refresh.
    pub(super) fn plan(
        record: &[u8],
        renewed: &Renewed<'_>,
        now: Mono,
        owns: impl Fn(&Binding<'_>) -> Option<bool>,
    ) -> Option<Self> {
        let Renewed { binding: ref renewed, proof, device_account } = *renewed;
        if is_of_device(record) != device_account {
            return None;
        }
        let (mut place, mut due) = (None, renewed.expires_at);
        for (at, binding) in places(record) {
            if binding.expires_at <= now {
                return None;
            }
            let is_own = owns(&binding)?;
            let is_it = binding.uri == renewed.uri
                && binding.instance == renewed.instance
                && binding.reg_id == renewed.reg_id;
            if is_own && is_it {
                let is_newer = binding.call_id != renewed.call_id || binding.cseq < renewed.cseq;
                let is_here = binding.flow == renewed.flow && binding.holder == renewed.holder;
                if place.is_some() || !is_newer || !is_here || binding.q != renewed.q {
                    return None;
                }
                place = Some(at);
                continue;
            }
            let both_known = !binding.instance.is_empty() && !renewed.instance.is_empty();
            let is_another =
                both_known && (binding.instance != renewed.instance || binding.reg_id != renewed.reg_id);
            if is_own && !is_another {
                return None;
            }
            due = due.min(binding.expires_at);
        }
        let nonce = match proof {
            Some(proof) => Some(next_count(record, proof)?),
            None => None,
        };
        Some(Self { binding: place?, nonce, due, is_only: record[3] == 1 })
    }

    /// True if the account has this binding alone.
    pub(super) fn is_only(&self) -> bool {
        self.is_only
    }

    /// When the first binding ends.
    pub(super) fn due(&self) -> Mono {
        self.due
    }

    pub(super) fn write(&self, record: &mut [u8], renewed: &Binding<'_>, armed: Armed, lagging_since: u32) {
        set_armed(record, armed);
        record[12..16].copy_from_slice(&lagging_since.to_le_bytes());
        if let Some((at, highest, seen)) = self.nonce {
            record[at + 8..at + 12].copy_from_slice(&highest.to_le_bytes());
            record[at + 12..at + 20].copy_from_slice(&seen.to_le_bytes());
            record[at + 20..at + 24].copy_from_slice(&renewed.branch.to_le_bytes());
        }
        let binding = &mut record[self.binding..];
        binding[6..10].copy_from_slice(&seconds_up(renewed.expires_at).to_le_bytes());
        binding[10..14].copy_from_slice(&renewed.cseq.to_le_bytes());
        binding[14..18].copy_from_slice(&renewed.branch.to_le_bytes());
        binding[18..26].copy_from_slice(&renewed.call_id.to_le_bytes());
    }
}

/// Where the nonce of `proof` begins, with the highest count and the window it has then; `None` unless its count is higher
/// than all before.
fn next_count(record: &[u8], proof: Proof) -> Option<(usize, u32, u64)> {
    let start = nonces_start(record);
    let mut nonces = Reader(record.get(start..start + NONCE * usize::from(record[4]))?);
    let count = proof.count?;
    for number in 0..usize::from(record[4]) {
        let (nonce, highest, seen) = (nonces.u64()?, nonces.u32()?, nonces.u64()?);
        nonces.u32()?;
        if nonce == proof.nonce.0 {
            let ahead = count.checked_sub(highest).filter(|ahead| *ahead > 0)?;
            return Some((start + NONCE * number, count, seen.checked_shl(ahead).unwrap_or(0) | 1));
        }
    }
    None
}

/// Octets of a nonce.
const NONCE: usize = 24;

/// Octets of a binding that are always there.
const FIXED: usize = 26;

/// Writes one binding that ends at `expires`: flags, instance length, q, URI length, expiry, CSeq, branch, Call-ID;
/// then, as the flags say, the flow, the holder and the reg-id; then URI and instance. Numbers are little-endian.
pub(super) fn put_binding(binding: &Binding<'_>, expires: u32, out: &mut Vec<u8>) {
    let flags = match binding.flow {
        None => 0,
        Some(flow) => {
            HAS_FLOW
                | if flow.remote.is_ipv6() { HAS_IPV6 } else { 0 }
                | if flow.connection.is_some() { HAS_CONNECTION } else { 0 }
        }
    };
    let mut fixed = [0; FIXED];
    fixed[0] = flags
        | if binding.holder.is_some() { HAS_HOLDER } else { 0 }
        | if binding.reg_id != 0 { HAS_REG_ID } else { 0 };
    fixed[1] = binding.instance.len() as u8;
    fixed[2..4].copy_from_slice(&binding.q.to_le_bytes());
    fixed[4..6].copy_from_slice(&(binding.uri.len() as u16).to_le_bytes());
    fixed[6..10].copy_from_slice(&expires.to_le_bytes());
    fixed[10..14].copy_from_slice(&binding.cseq.to_le_bytes());
    fixed[14..18].copy_from_slice(&binding.branch.to_le_bytes());
    fixed[18..26].copy_from_slice(&binding.call_id.to_le_bytes());
    out.extend_from_slice(&fixed);
    if let Some(flow) = binding.flow {
        out.push(flow.listener.0);
        out.extend_from_slice(&flow.remote.port().to_le_bytes());
        match flow.remote {
            SocketAddr::V4(remote) => out.extend_from_slice(&remote.ip().octets()),
            SocketAddr::V6(remote) => {
                out.extend_from_slice(&remote.ip().octets());
                out.extend_from_slice(&remote.scope_id().to_le_bytes());
            }
        }
        if let Some(connection) = flow.connection {
            out.extend_from_slice(&connection.to_u64().to_le_bytes());
        }
    }
    if let Some(holder) = binding.holder {
        out.extend_from_slice(&holder.device.to_le_bytes());
        out.extend_from_slice(&holder.epoch.to_le_bytes());
    }
    if binding.reg_id != 0 {
        out.extend_from_slice(&binding.reg_id.to_le_bytes());
    }
    out.extend_from_slice(&binding.uri);
    out.extend_from_slice(&binding.instance);
}

/// Reads what [`put_binding`] wrote; `expires_at` makes an instant of its seconds. `None`: it never wrote this.
pub(super) fn take_binding<'r>(
    reader: &mut Reader<'r>,
    expires_at: impl FnOnce(u32) -> Mono,
) -> Option<Binding<'r>> {
    // Taken as a whole, so that there is one length to check.
    let mut fixed = Reader(reader.take(FIXED)?);
    let [flags, instance_length] = fixed.array()?;
    let q = fixed.u16()?;
    let uri_length = usize::from(fixed.u16()?);
    let expires_at = expires_at(fixed.u32()?);
    let cseq = fixed.u32()?;
    let branch = fixed.u32()?;
    let call_id = fixed.u64()?;
    let flow = if flags & HAS_FLOW != 0 { Some(take_flow(reader, flags)?) } else { None };
    let holder = match flags & HAS_HOLDER != 0 {
        true => Some(Holder { device: reader.u64()?, epoch: reader.u64()? }),
        false => None,
    };
    let reg_id = if flags & HAS_REG_ID != 0 { reader.u32()? } else { 0 };
    let uri = Cow::Borrowed(reader.take(uri_length)?);
    let instance = Cow::Borrowed(reader.take(usize::from(instance_length))?);
    Some(Binding { uri, instance, reg_id, q, expires_at, call_id, cseq, branch, flow, holder })
}

fn take_flow(reader: &mut Reader<'_>, flags: u8) -> Option<Flow> {
    let [listener] = reader.array()?;
    let port = reader.u16()?;
    let remote = if flags & HAS_IPV6 != 0 {
        let address = reader.array::<16>()?.into();
        SocketAddrV6::new(address, port, 0, reader.u32()?).into()
    } else {
        SocketAddr::new(reader.array::<4>()?.into(), port)
    };
    let connection = match flags & HAS_CONNECTION != 0 {
        true => Some(ConnectionId::from_u64(reader.u64()?)?),
        false => None,
    };
    Some(Flow { listener: ListenerId(listener), remote, connection })
}

/// Takes octets from the front of a slice.
pub(super) struct Reader<'r>(pub(super) &'r [u8]);

impl<'r> Reader<'r> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'r [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
