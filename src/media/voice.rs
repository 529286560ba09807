//! Re-muxes a recording into what Meta takes as a voice note: OGG/Opus with one channel
//! (whatsapp-messaging facts §3.2). The sound itself is not touched.
//!
//! Browsers record Opus in WebM, some in OGG, often in stereo. In Opus the channel count of the header
//! is only a wish for the output (RFC 7845 §5.1.1.1: a stereo packet in a mono stream is mixed down by
//! the decoder), so one channel is a matter of the header. Everything is done in memory: a voice note has
//! 16 MB at most. Call it on the blocking pool.

use std::error::Error;
use std::io::Cursor;

use matroska_demuxer::{Frame, MatroskaFile, TrackType};
use ogg::reading::OggReadError;
use ogg::{PacketReader, PacketWriteEndInfo, PacketWriter};
use thiserror::Error;

/// Samples per second of every Opus granule position (RFC 7845 §4).
const RATE: u64 = 48_000;
/// What libopus skips at the start, for a file that does not tell.
const USUAL_PRE_SKIP: u16 = 312;
const SERIAL: u32 = 0x7761_6272;

/// Why a recording was not made a voice note. The caller sends it as audio or document instead.
#[derive(Debug, Error)]
pub enum VoiceError {
    /// Another codec or container, or a video.
    #[error("the file is not a recording in Opus")]
    NotOpus,
    /// More than two channels.
    #[error("a recording with more than two channels cannot be a voice note")]
    Surround,
    /// Nothing to hear.
    #[error("the recording is empty")]
    Empty,
    /// Damaged.
    #[error("the recording is damaged")]
    Damaged(#[source] Box<dyn Error + Send + Sync>),
}

/// Makes a mono OGG/Opus file of a WebM, Matroska or OGG recording in Opus.
pub fn remux_to_voice(input: &[u8]) -> Result<Vec<u8>, VoiceError> {
    let recording = if input.starts_with(b"OggS") {
        read_ogg(input)?
    } else if input.starts_with(&[0x1A, 0x45, 0xDF, 0xA3]) {
        read_matroska(input)?
    } else {
        return Err(VoiceError::NotOpus);
    };
    write_ogg(recording)
}

/// A track of Opus, out of its container.
struct Recording {
    head: Head,
    packets: Vec<Packet>,
    /// Where the sound ends, in samples from the first packet's start, if the container tells.
    end: Option<u64>,
}

struct Packet {
    data: Vec<u8>,
    /// In samples at 48 kHz.
    duration: u64,
}

/// What is kept of an identification header (RFC 7845 §5.1).
struct Head {
    pre_skip: u16,
    input_rate: u32,
    gain: i16,
}

impl Head {
    fn parse(bytes: &[u8]) -> Result<Self, VoiceError> {
        let [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', version, channels, rest @ ..] = bytes else {
            return Err(VoiceError::NotOpus);
        };
        let [skip_low, skip_high, r0, r1, r2, r3, gain_low, gain_high, family, mapping @ ..] = rest else {
            return Err(VoiceError::NotOpus);
        };
        if version >> 4 != 0 {
            return Err(VoiceError::NotOpus);
        }
        // Beyond family 0 a packet may hold several streams, which no mono header can undo.
        let one_stream = if *family == 0 { *channels <= 2 } else { mapping.first() == Some(&1) };
        if !one_stream {
            return Err(VoiceError::Surround);
        }
        Ok(Self {
            pre_skip: u16::from_le_bytes([*skip_low, *skip_high]),
            input_rate: u32::from_le_bytes([*r0, *r1, *r2, *r3]),
            gain: i16::from_le_bytes([*gain_low, *gain_high]),
        })
    }

    fn to_mono(&self) -> Vec<u8> {
        let mut bytes = b"OpusHead\x01\x01".to_vec();
        bytes.extend(self.pre_skip.to_le_bytes());
        bytes.extend(self.input_rate.to_le_bytes());
        bytes.extend(self.gain.to_le_bytes());
        bytes.push(0);
        bytes
    }
}

impl Packet {
    /// `None` for what is no Opus packet: it would make the stream undecodable.
    fn new(data: Vec<u8>) -> Option<Self> {
        let duration = packet_samples(&data)?;
        Some(Self { data, duration })
    }
}

/// The duration of a packet in samples at 48 kHz, by its first byte and frame count (RFC 6716 §3.1, §3.2).
fn packet_samples(packet: &[u8]) -> Option<u64> {
    let toc = *packet.first()?;
    let config = toc >> 3;
    let frame = match config {
        0..12 => [480, 960, 1920, 2880].get(usize::from(config & 3)),
        12..16 => [480, 960].get(usize::from(config & 1)),
        _ => [120, 240, 480, 960].get(usize::from(config & 3)),
    }?;
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3F),
    };
    let samples = frame * frames;
    // 120 ms is the most that a packet may hold.
    (1..=5760).contains(&samples).then_some(samples)
}

fn read_ogg(input: &[u8]) -> Result<Recording, VoiceError> {
    let mut reader = PacketReader::new(Cursor::new(input));
    let (mut stream, mut packets, mut page, mut start, mut end) = (None, Vec::new(), 0, None, None);
    loop {
        let packet = match reader.read_packet() {
            Ok(Some(packet)) => packet,
            // A recording that was cut off is heard up to there.
            Ok(None) | Err(OggReadError::ReadError(_)) => break,
            Err(error) => return Err(VoiceError::Damaged(error.into())),
        };
        let Some((serial, _)) = stream else {
            if packet.data.starts_with(b"OpusHead") {
                stream = Some((packet.stream_serial(), Head::parse(&packet.data)?));
            }
            continue;
        };
        if packet.stream_serial() != serial || (packets.is_empty() && packet.data.starts_with(b"OpusTags")) {
            continue;
        }
        let (closes_page, closes_stream) = (packet.last_in_page(), packet.last_in_stream());
        let position = packet.absgp_page();
        if let Some(packet) = Packet::new(packet.data) {
            page += packet.duration;
            packets.push(packet);
        }
        if closes_page && position != u64::MAX {
            // A live capture may begin late; a first page that is the last one is trimmed at its end.
            let first = *start.get_or_insert(if closes_stream { 0 } else { position.saturating_sub(page) });
            end = Some(position.saturating_sub(first));
        }
        if closes_stream {
            break;
        }
    }
    let (_, head) = stream.ok_or(VoiceError::NotOpus)?;
    Ok(Recording { head, packets, end })
}

fn read_matroska(input: &[u8]) -> Result<Recording, VoiceError> {
    let damaged = |error: matroska_demuxer::DemuxError| VoiceError::Damaged(error.into());
    let mut file = MatroskaFile::open(Cursor::new(input)).map_err(damaged)?;
    if file.tracks().iter().any(|track| track.track_type() == TrackType::Video) {
        return Err(VoiceError::NotOpus);
    }
    let opus = file.tracks().iter().find(|track| track.codec_id() == "A_OPUS");
    let track = opus.filter(|track| track.content_encodings().is_none()).ok_or(VoiceError::NotOpus)?;
    let head = match track.codec_private() {
        Some(private) => Head::parse(private)?,
        None => Head { pre_skip: USUAL_PRE_SKIP, input_rate: 48_000, gain: 0 },
    };
    let number = track.track_number().get();
    let end = file.info().duration().map(|ticks| samples(ticks, file.info().timestamp_scale().get()));

    let (mut packets, mut frame) = (Vec::new(), Frame::default());
    while file.next_frame(&mut frame).map_err(damaged)? {
        if frame.track == number {
            packets.extend(Packet::new(std::mem::take(&mut frame.data)));
        }
    }
    Ok(Recording { head, packets, end })
}

/// Ticks of so many nanoseconds as samples. The cast saturates, and the end is clamped later.
fn samples(ticks: f64, nanoseconds: u64) -> u64 {
    (ticks * nanoseconds as f64 / 1e9 * RATE as f64).round() as u64
}

fn write_ogg(recording: Recording) -> Result<Vec<u8>, VoiceError> {
    let Recording { head, mut packets, end } = recording;
    let total: u64 = packets.iter().map(|packet| packet.duration).sum();
    let last = packets.pop().ok_or(VoiceError::Empty)?;
    if total <= u64::from(head.pre_skip) {
        return Err(VoiceError::Empty);
    }
    // The container's end trims the last packet, never more: positions must not run backwards.
    let final_position = end.unwrap_or(total).clamp(total - last.duration, total).max(head.pre_skip.into());

    let mut writer = PacketWriter::new(Vec::new());
    let mut write = |data: Vec<u8>, end, position| {
        writer.write_packet(data, SERIAL, end, position).map_err(|error| VoiceError::Damaged(error.into()))
    };
    write(head.to_mono(), PacketWriteEndInfo::EndPage, 0)?;
    write(tags(), PacketWriteEndInfo::EndPage, 0)?;
    let (mut position, mut page) = (0, 0);
    for packet in packets {
        position += packet.duration;
        page += packet.duration;
        // A page a second, as encoders do; 255 segments would hold five.
        let full = page >= RATE;
        write(
            packet.data,
            if full { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket },
            position,
        )?;
        if full {
            page = 0;
        }
    }
    write(last.data, PacketWriteEndInfo::EndStream, final_position)?;
    Ok(writer.into_inner())
}

/// The comment header (RFC 7845 §5.2): a vendor and no comments.
fn tags() -> Vec<u8> {
    const VENDOR: &[u8] = b"wabridge";
    let mut bytes = b"OpusTags".to_vec();
    bytes.extend([8, 0, 0, 0]);
    bytes.extend(VENDOR);
    bytes.extend([0; 4]);
    bytes
}

#[cfg(test)]
mod tests;
