//! The fuzz targets over the kept corpus and 100,000 seeded mutations each: no panic, no hang, no unbounded
//! memory.

use std::path::Path;

use crate::fuzz_targets;

const MUTATIONS: usize = 100_000;
/// What breaks readers of text protocols.
const TOKENS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n ",
    b": ",
    b";",
    b",",
    b"=",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"@",
    b"%00",
    b"[::1]",
    b"Content-Length: 0\r\n",
    b"l: 99999\r\n",
    b"Via: SIP/2.0/TLS a;branch=z9hG4bK1\r\n",
    b"\xff\xfe",
    b"\0",
    b"4294967296",
    b"a=sendonly\r\n",
    b"m=audio 0 RTP/AVP 0\r\n",
    "🙂".as_bytes(),
];

#[test]
fn framing_holds_over_the_corpus_and_its_mutations() {
    run("framing", fuzz_targets::framing);
}

#[test]
fn messages_hold_over_the_corpus_and_its_mutations() {
    run("message", fuzz_targets::message);
}

#[test]
fn descriptions_hold_over_the_corpus_and_its_mutations() {
    run("sdp", fuzz_targets::sdp);
}

fn run(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|seed| target(seed));
    let mut dice = Dice(0x5EED_0000_0000_0001);
    let mut bytes = Vec::new();
    for _ in 0..MUTATIONS {
        bytes.clone_from(dice.pick(&corpus));
        for _ in 0..=dice.roll(4) {
            mutate(&mut bytes, &corpus, &mut dice);
        }
        target(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, corpus: &[Vec<u8>], dice: &mut Dice) {
    let at = dice.roll(bytes.len() + 1);
    let until = (at + 1 + dice.roll(20)).min(bytes.len());
    match dice.roll(7) {
        0 => bytes.truncate(at),
        1 if at < until => drop(bytes.drain(at..until)),
        2 if at < until => {
            let copy = bytes[at..until].to_vec();
            bytes.splice(at..at, copy);
        }
        3 => {
            let other = dice.pick(corpus);
            let from = dice.roll(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        4 if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).unwrap(),
        5 if at < bytes.len() => bytes[at] ^= 1 << dice.roll(8),
        _ => drop(bytes.splice(at..at, TOKENS[dice.roll(TOKENS.len())].iter().copied())),
    }
    bytes.truncate(8192);
}

/// xorshift; the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % sides.max(1)
    }

    fn pick<'a>(&mut self, corpus: &'a [Vec<u8>]) -> &'a Vec<u8> {
        &corpus[self.roll(corpus.len())]
    }
}
