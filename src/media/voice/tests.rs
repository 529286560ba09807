//! Recordings in, voice notes out, read back page by page.

use super::*;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/media/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A page as RFC 3533 lays it out, read without the code under test.
struct Page {
    flags: u8,
    position: u64,
    sequence: u32,
    segments: usize,
}

fn pages(mut file: &[u8]) -> Vec<Page> {
    let mut pages = Vec::new();
    while !file.is_empty() {
        assert_eq!(&file[..5], b"OggS\0");
        let segments = usize::from(file[26]);
        let body: usize = file[27..27 + segments].iter().map(|lacing| usize::from(*lacing)).sum();
        pages.push(Page {
            flags: file[5],
            position: u64::from_le_bytes(file[6..14].try_into().unwrap()),
            sequence: u32::from_le_bytes(file[18..22].try_into().unwrap()),
            segments,
        });
        file = &file[27 + segments + body..];
    }
    pages
}

/// Packets by the crate's reader, which verifies the checksum of each page.
fn packets(file: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = PacketReader::new(Cursor::new(file));
    let mut found = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        found.push(packet.data);
    }
    found
}

/// Asserts that it is a valid mono stream and tells its audible samples.
fn heard(voice: &[u8]) -> u64 {
    let packets = packets(voice);
    let head = &packets[0];
    assert_eq!(&head[..10], b"OpusHead\x01\x01", "one channel");
    assert_eq!(head[18], 0, "mapping family 0");
    assert!(packets[1].starts_with(b"OpusTags"));
    let pages = pages(voice);
    assert_eq!(
        (pages[0].flags, pages[0].segments, pages[0].position),
        (2, 1, 0),
        "the header is alone on its page"
    );
    assert_eq!((pages[1].flags, pages[1].position), (0, 0));
    let last = pages.len() - 1;
    for (number, page) in pages.iter().enumerate() {
        assert_eq!(page.sequence as usize, number);
        assert_eq!(page.flags & 4 != 0, number == last, "only the last page ends the stream");
    }
    assert!(pages.windows(2).all(|pair| pair[0].position <= pair[1].position));
    pages[last].position - u64::from(u16::from_le_bytes([head[10], head[11]]))
}

fn head(channels: u8, pre_skip: u16) -> Vec<u8> {
    let mut bytes = b"OpusHead\x01".to_vec();
    bytes.push(channels);
    bytes.extend(pre_skip.to_le_bytes());
    bytes.extend([0x80, 0xBB, 0, 0, 0, 0, 0]);
    bytes
}

/// An OGG/Opus file with a page for each list of packets and its position.
fn ogg(head: &[u8], pages: &[(Vec<Vec<u8>>, u64)]) -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new());
    writer.write_packet(head.to_vec(), 5, PacketWriteEndInfo::EndPage, 0).unwrap();
    writer.write_packet(tags(), 5, PacketWriteEndInfo::EndPage, 0).unwrap();
    for (number, (packets, position)) in pages.iter().enumerate() {
        for (at, packet) in packets.iter().enumerate() {
            let end = match (at + 1 == packets.len(), number + 1 == pages.len()) {
                (true, true) => PacketWriteEndInfo::EndStream,
                (true, false) => PacketWriteEndInfo::EndPage,
                _ => PacketWriteEndInfo::NormalPacket,
            };
            writer.write_packet(packet.clone(), 5, end, *position).unwrap();
        }
    }
    writer.into_inner()
}

/// A stereo CELT packet of 20 ms.
fn packet(fill: u8) -> Vec<u8> {
    vec![0xFC, fill, fill]
}

#[test]
fn stereo_ogg_becomes_mono_of_the_same_length_and_sound() {
    let input = fixture("stereo.ogg");
    let voice = remux_to_voice(&input).unwrap();
    // As opusinfo tells it: 1.199 s.
    assert_eq!(heard(&voice), pages(&input).last().unwrap().position - 312);
    assert_eq!(packets(&voice)[2..], packets(&input)[2..]);
}

#[test]
fn webm_becomes_ogg_of_the_same_length() {
    for name in ["mono.webm", "live.webm"] {
        let voice = remux_to_voice(&fixture(name)).unwrap();
        let milliseconds = heard(&voice) / 48;
        assert!((1199..=1214).contains(&milliseconds), "{name}: {milliseconds} ms");
        assert_eq!(packets(&voice).len(), 2 + 61, "{name}");
    }
    // The same sound in both containers gives the same packets.
    let (ogg, webm) = (remux_to_voice(&fixture("stereo.ogg")), remux_to_voice(&fixture("live.webm")));
    assert_eq!(packets(&ogg.unwrap())[2..], packets(&webm.unwrap())[2..]);
}

#[test]
fn a_voice_note_stays_as_it_is() {
    let once = remux_to_voice(&fixture("stereo.ogg")).unwrap();
    assert_eq!(remux_to_voice(&once).unwrap(), once);
}

#[test]
fn what_is_not_opus_is_left_to_be_audio() {
    for input in [fixture("vorbis.ogg"), fixture("video.webm"), b"ID3\x04mp3".to_vec(), Vec::new()] {
        assert!(matches!(remux_to_voice(&input), Err(VoiceError::NotOpus)));
    }
}

#[test]
fn surround_sound_is_refused() {
    let mut head = head(6, 312);
    head[18] = 1;
    head.extend([4, 2, 0, 1, 2, 3, 4, 5]);
    let input = ogg(&head, &[(vec![packet(1)], 960)]);
    assert!(matches!(remux_to_voice(&input), Err(VoiceError::Surround)));
}

#[test]
fn a_recording_without_sound_is_empty() {
    assert!(matches!(remux_to_voice(&ogg(&head(1, 312), &[])), Err(VoiceError::Empty)));
    let shorter_than_its_skip = ogg(&head(1, 3840), &[(vec![packet(1)], 960)]);
    assert!(matches!(remux_to_voice(&shorter_than_its_skip), Err(VoiceError::Empty)));
}

#[test]
fn a_late_start_is_rebased_and_the_end_stays_trimmed() {
    let first: Vec<_> = (0..50).map(packet).collect();
    let input = ogg(
        &head(2, 312),
        &[(first, 1_000_000 + 48_000), (vec![packet(60), packet(61)], 1_000_000 + 49_000)],
    );
    assert_eq!(heard(&remux_to_voice(&input).unwrap()), 49_000 - 312);
}

#[test]
fn long_recordings_get_a_page_a_second_and_large_packets_span_segments() {
    let large: Vec<u8> = std::iter::once(0xFC).chain(std::iter::repeat_n(9, 1200)).collect();
    let all: Vec<_> = (0..500).map(|_| large.clone()).collect();
    let seconds: Vec<_> =
        all.chunks(50).zip(1..).map(|(packets, second)| (packets.to_vec(), second * 48_000)).collect();
    let input = ogg(&head(2, 312), &seconds);
    let voice = remux_to_voice(&input).unwrap();
    assert_eq!(heard(&voice), 480_000 - 312);
    assert_eq!(packets(&voice)[2..], all[..]);
    assert_eq!(pages(&voice).len(), 12);
}

#[test]
fn a_cut_recording_is_heard_up_to_the_cut_and_a_damaged_one_is_told() {
    let mut cut = ogg(&head(2, 312), &[((0..50).map(packet).collect(), 48_000), (vec![packet(60)], 48_960)]);
    cut.truncate(cut.len() - 2);
    assert_eq!(heard(&remux_to_voice(&cut).unwrap()), 48_000 - 312);

    let mut damaged = fixture("stereo.ogg");
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0xFF;
    assert!(matches!(remux_to_voice(&damaged), Err(VoiceError::Damaged(_))));
}

#[test]
fn durations_follow_the_first_byte() {
    for (packet, samples) in [
        (&[0x00][..], Some(480)),
        (&[0x08, 0], Some(960)),
        (&[0x10, 0], Some(1920)),
        (&[0x18, 0], Some(2880)),
        (&[0x60, 0], Some(480)),
        (&[0x78, 0], Some(960)),
        (&[0x80, 0], Some(120)),
        (&[0xF8, 0], Some(960)),
        (&[0xFC, 0], Some(960)),
        (&[0xF9, 0], Some(1920)),
        (&[0xFA, 0], Some(1920)),
        (&[0xFB, 0x83, 0], Some(2880)),
        (&[0xFB, 0x3F, 0], None),
        (&[0xFB, 0, 0], None),
        (&[0xFB], None),
        (&[], None),
    ] {
        assert_eq!(packet_samples(packet), samples, "{packet:x?}");
    }
}

#[test]
fn no_mutilation_of_a_file_makes_it_panic() {
    for name in ["mono.webm", "live.webm", "stereo.ogg"] {
        let whole = fixture(name);
        for at in 0..whole.len() {
            let _ = remux_to_voice(&whole[..at]);
            let mut bent = whole.clone();
            bent[at] ^= 0xFF;
            let _ = remux_to_voice(&bent);
        }
    }
}
