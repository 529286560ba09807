//! Session descriptions (RFC 8866): what is compared, and the one place where the SDP of a leg is passed to
//! the other. Codec and keying pass through in this version; a mode that carries the media itself changes
//! [`pass`] and nothing else.

/// The audio stream of a description, as far as it is compared.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Audio {
    address: String,
    port: u16,
    protocol: String,
    /// Payload types with their codecs; a static type without a map has itself.
    codecs: Vec<(String, String)>,
    /// `a=crypto`, `a=fingerprint`, ICE user and password.
    keys: Vec<String>,
}

/// Which ways media goes (RFC 8866 §6.7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Both.
    SendRecv,
    /// From the writer only.
    SendOnly,
    /// To the writer only.
    RecvOnly,
    /// None.
    Inactive,
}

/// The SDP of one leg, as the other gets it: only the session name is replaced.
pub fn pass(sdp: &str) -> String {
    let mut passed = String::with_capacity(sdp.len() + 16);
    for line in lines(sdp) {
        passed.push_str(if line.starts_with("s=") { "s=wabridge" } else { line });
        passed.push_str("\r\n");
    }
    passed
}

/// What the first audio stream is; `None` if there is none that is used (no `m=audio`, or port 0).
pub fn audio(sdp: &str) -> Option<Audio> {
    let mut audio = Audio::default();
    let (mut in_audio, mut found) = (false, false);
    let mut maps: Vec<(&str, &str)> = Vec::new();
    if lines(sdp).next() != Some("v=0") {
        return None;
    }
    for line in lines(sdp) {
        if let Some(media) = line.strip_prefix("m=") {
            in_audio = !found && media.starts_with("audio ");
            if in_audio {
                found = true;
                let mut words = media.split_ascii_whitespace().skip(1);
                audio.port = words.next()?.split('/').next()?.parse().ok()?;
                audio.protocol = words.next()?.to_owned();
                audio.codecs = words.map(|payload| (payload.to_owned(), payload.to_owned())).collect();
            }
            continue;
        }
        if found && !in_audio {
            continue;
        }
        if let Some(connection) = line.strip_prefix("c=") {
            audio.address = connection.split_ascii_whitespace().nth(2)?.split('/').next()?.to_owned();
        } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
            maps.extend(map.split_once(' '));
        } else if is_key(line) {
            audio.keys.push(line.to_owned());
        }
    }
    for (payload, codec) in &mut audio.codecs {
        if let Some((_, name)) = maps.iter().find(|(mapped, _)| mapped == payload) {
            *codec = name.trim().to_ascii_lowercase();
        }
    }
    audio.keys.sort();
    (found && audio.port != 0 && !audio.codecs.is_empty()).then_some(audio)
}

/// Which ways the writer of this description wants media to go.
pub fn flow(sdp: &str) -> Flow {
    let mut flow = Flow::SendRecv;
    for line in lines(sdp) {
        match line {
            "a=sendonly" => flow = Flow::SendOnly,
            "a=recvonly" => flow = Flow::RecvOnly,
            "a=inactive" => flow = Flow::Inactive,
            "a=sendrecv" => flow = Flow::SendRecv,
            _ => {}
        }
    }
    flow
}

/// The answer to an offer that changes nothing but the flow: the last description again, its flow the mirror
/// of the offer's (RFC 3264 §6.1) and its version one higher if that makes it another text.
pub fn again(last: &str, offer: &str) -> String {
    let wanted = match flow(offer) {
        Flow::SendRecv => return with_flow(last, Flow::SendRecv),
        Flow::SendOnly => Flow::RecvOnly,
        Flow::RecvOnly => Flow::SendOnly,
        Flow::Inactive => Flow::Inactive,
    };
    with_flow(last, wanted)
}

fn with_flow(sdp: &str, wanted: Flow) -> String {
    if flow(sdp) == wanted {
        return sdp.to_owned();
    }
    let mut text = String::with_capacity(sdp.len() + 16);
    let (mut in_audio, mut said) = (false, false);
    let word = match wanted {
        Flow::SendRecv => "a=sendrecv\r\n",
        Flow::SendOnly => "a=sendonly\r\n",
        Flow::RecvOnly => "a=recvonly\r\n",
        Flow::Inactive => "a=inactive\r\n",
    };
    for line in lines(sdp) {
        if line.starts_with("m=") {
            if in_audio && !said {
                text.push_str(word);
                said = true;
            }
            in_audio = line.starts_with("m=audio ") && !said;
        }
        if matches!(line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive") {
            continue;
        }
        match line.strip_prefix("o=") {
            Some(origin) => text.push_str(&next_version(origin)),
            None => text.push_str(line),
        }
        text.push_str("\r\n");
    }
    if in_audio && !said {
        text.push_str(word);
    }
    text
}

fn next_version(origin: &str) -> String {
    let words: Vec<&str> = origin.split(' ').collect();
    let version = words.get(2).and_then(|word| word.parse::<u64>().ok());
    match (words.as_slice(), version) {
        ([user, id, _, rest @ ..], Some(version)) => {
            format!("o={user} {id} {} {}", version.wrapping_add(1), rest.join(" "))
        }
        _ => format!("o={origin}"),
    }
}

fn is_key(line: &str) -> bool {
    ["a=crypto:", "a=fingerprint:", "a=ice-ufrag:", "a=ice-pwd:"].iter().any(|key| line.starts_with(key))
}

fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.split('\n').map(|line| line.trim_end_matches('\r')).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDES: &str = "v=0\r\no=- 1741113186367 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
                        m=audio 3480 RTP/SAVP 111 126\r\nc=IN IP4 57.144.135.35\r\na=rtcp-mux\r\n\
                        a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA\r\na=sendrecv\r\n\
                        a=rtpmap:111 opus/48000/2\r\na=rtpmap:126 telephone-event/8000\r\n";

    #[test]
    fn only_the_session_name_is_changed() {
        assert_eq!(pass(SDES), SDES.replace("s=-", "s=wabridge"));
        assert_eq!(pass("v=0\ns=x\n"), "v=0\r\ns=wabridge\r\n");
    }

    #[test]
    fn address_port_key_and_codec_make_a_stream_the_same() {
        let same = SDES.replace(" 2 IN", " 3 IN").replace("a=sendrecv", "a=sendonly");
        assert_eq!(audio(&same), audio(SDES));
        for (from, to) in [
            ("57.144.135.35", "57.144.135.36"),
            ("audio 3480", "audio 3482"),
            ("inline:AAAA", "inline:BBBB"),
            ("opus/48000", "opus/16000"),
            ("111 126", "111"),
            ("RTP/SAVP", "RTP/AVP"),
        ] {
            assert_ne!(audio(&SDES.replace(from, to)), audio(SDES), "{to}");
        }
    }

    #[test]
    fn a_description_without_usable_audio_is_none() {
        assert_eq!(audio(&SDES.replace("audio 3480", "audio 0")), None);
        assert_eq!(audio(&SDES.replace("m=audio", "m=video")), None);
        assert_eq!(audio("hello"), None);
        assert_eq!(audio("v=0\r\nm=audio x RTP/AVP 0\r\n"), None);
    }

    #[test]
    fn a_hold_is_answered_with_the_last_description_and_the_mirrored_flow() {
        let hold = SDES.replace("a=sendrecv", "a=sendonly");
        let answer = again(SDES, &hold);
        assert_eq!(flow(&answer), Flow::RecvOnly);
        assert!(answer.contains("o=- 1741113186367 3 IN IP4 127.0.0.1\r\n"));
        assert_eq!(audio(&answer), audio(SDES));
        assert_eq!(again(SDES, SDES), SDES);
        assert_eq!(flow(&again(&answer, SDES)), Flow::SendRecv);
    }
}
