//! What a file is, by its bytes, its declared type and its name.

use super::*;

fn typed(head: &[u8], declared: &str, name: &str) -> String {
    let file = sniff(head, Some(declared).filter(|d| !d.is_empty()), Some(name).filter(|n| !n.is_empty()));
    format!("{} .{}", file.mime, file.extension)
}

fn ogg_page(packet: &[u8]) -> Vec<u8> {
    let mut page = b"OggS\0\x02".to_vec();
    page.extend([0; 20]);
    page.extend([1, u8::try_from(packet.len()).unwrap()]);
    page.extend(packet);
    page
}

fn iso(brand: &str, handlers: &[&str]) -> Vec<u8> {
    let mut head = b"\0\0\0\x14ftyp".to_vec();
    head.extend(brand.as_bytes());
    head.extend(b"\0\0\0\0isom\0\0\0\x10moov");
    for handler in handlers {
        head.extend(b"\0\0\0\x20hdlr\0\0\0\0\0\0\0\0");
        head.extend(handler.as_bytes());
        head.extend([0; 12]);
    }
    head
}

fn ebml(doc_type: &str, codecs: &[&str]) -> Vec<u8> {
    let mut head =
        vec![0x1A, 0x45, 0xDF, 0xA3, 0x9F, 0x42, 0x82, 0x80 | u8::try_from(doc_type.len()).unwrap()];
    head.extend(doc_type.as_bytes());
    for codec in codecs {
        head.extend([0xD7, 0x81, 1, 0x86, 0x80 | u8::try_from(codec.len()).unwrap()]);
        head.extend(codec.as_bytes());
    }
    head
}

#[test]
fn content_decides_before_the_declared_type() {
    let jpeg = [0xFF, 0xD8, 0xFF, 0xE0, 0, 0x10, b'J', b'F', b'I', b'F'];
    let webp = b"RIFF\x24\0\0\0WEBPVP8 ";
    for (head, declared, name, expected) in [
        (&jpeg[..], "image/png", "a.png", "image/jpeg .jpg"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "", "", "image/png .png"),
        (webp, "image/jpeg", "a.jpg", "image/webp .webp"),
        (b"GIF89a\x01\0\x01\0", "image/jpeg", "", "image/gif .gif"),
        (b"%PDF-1.7\n", "application/octet-stream", "x", "application/pdf .pdf"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio/mpeg", "", "audio/wav .wav"),
        (b"#!AMR\n\x3c\x91\x17\x16\xbe\x66\x78", "", "", "audio/amr .amr"),
        (b"#!AMR-WB\n\x3c\x91\x17\x16", "audio/amr", "", "audio/amr-wb .awb"),
        (b"ID3\x04\0\0\0\0\0\0", "", "", "audio/mpeg .mp3"),
        (&[0xFF, 0xFB, 0x90, 0x64], "", "", "audio/mpeg .mp3"),
        (&[0xFF, 0xF3, 0x40, 0xC4], "", "", "audio/mpeg .mp3"),
        (&[0xFF, 0xF1, 0x50, 0x80], "", "", "audio/aac .aac"),
        (b"PK\x03\x04\x14\0\0\0\0\0zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", "", "a.zip", "application/zip .zip"),
    ] {
        assert_eq!(typed(head, declared, name), expected);
    }
}

#[test]
fn opus_in_ogg_is_told_from_vorbis() {
    assert_eq!(typed(&ogg_page(b"OpusHead\x01\x01"), "audio/ogg", ""), "audio/ogg; codecs=opus .ogg");
    assert_eq!(typed(&ogg_page(b"\x01vorbis\0\0"), "audio/ogg; codecs=opus", ""), "audio/ogg .ogg");
    assert_eq!(typed(&ogg_page(b"\x80theora\x03"), "", ""), "video/ogg .ogv");
    assert_eq!(FileType::new(OGG_OPUS, "").essence(), "audio/ogg");
}

#[test]
fn audio_in_a_video_container_is_audio() {
    assert_eq!(typed(&ebml("webm", &["A_OPUS"]), "video/webm", ""), "audio/webm .weba");
    assert_eq!(typed(&ebml("webm", &["V_VP8", "A_OPUS"]), "audio/webm", ""), "video/webm .webm");
    assert_eq!(typed(&ebml("webm", &[]), "audio/webm;codecs=opus", ""), "audio/webm .weba");
    assert_eq!(typed(&ebml("matroska", &["V_MPEG4/ISO/AVC"]), "", ""), "video/x-matroska .mkv");
    assert_eq!(typed(&iso("M4A ", &[]), "video/mp4", ""), "audio/mp4 .m4a");
    assert_eq!(typed(&iso("mp42", &["soun"]), "video/mp4", ""), "audio/mp4 .m4a");
    assert_eq!(typed(&iso("isom", &["soun", "vide"]), "audio/mp4", ""), "video/mp4 .mp4");
    assert_eq!(typed(&iso("isom", &[]), "", "clip.mp4"), "video/mp4 .mp4");
    assert_eq!(typed(&iso("3gp4", &["vide", "soun"]), "", ""), "video/3gpp .3gp");
    assert_eq!(typed(&iso("qt  ", &[]), "video/mp4", ""), "video/quicktime .mov");
    assert_eq!(typed(&iso("heic", &[]), "image/jpeg", ""), "image/heic .heic");
}

#[test]
fn a_page_or_a_drawing_is_no_picture_whatever_it_says() {
    assert_eq!(typed(b"<!DOCTYPE html><title>Log in</title>", "image/jpeg", "a.jpg"), "text/html .html");
    assert_eq!(typed(b"  \n<svg xmlns='x'>", "image/png", "a.png"), "image/svg+xml .svg");
    assert_eq!(typed(b"<?xml version='1.0'?><!-- c --><svg>", "", "a.svg"), "image/svg+xml .svg");
    assert_eq!(typed(b"\0\x01\x02garbage", "image/jpeg", "a.jpg"), "application/octet-stream .jpg");
    assert_eq!(typed(b"", "image/jpeg", "a.jpg"), "application/octet-stream .jpg");
}

#[test]
fn office_files_are_what_they_claim_inside_their_archive() {
    let zip = b"PK\x03\x04\x14\0\x08\0\x08\0zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz";
    let ole = b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0\0\0\0\0\0\0";
    assert!(typed(zip, "application/octet-stream", "a.docx").ends_with("wordprocessingml.document .docx"));
    assert!(typed(zip, "application/vnd.oasis.opendocument.text", "").ends_with("opendocument.text .odt"));
    assert_eq!(typed(ole, "application/vnd.ms-excel", "a.xls"), "application/vnd.ms-excel .xls");
    assert_eq!(typed(b"no archive", "", "a.docx"), "text/plain .txt");
    assert_eq!(typed(b"\0\x01\x02", "", "a.docx"), "application/octet-stream .docx");
}

#[test]
fn text_is_known_by_being_readable() {
    assert_eq!(typed("Привет".as_bytes(), "", "notes"), "text/plain .txt");
    assert_eq!(typed(&"Привет".as_bytes()[..5], "", "a.log"), "text/plain .log");
    assert_eq!(typed(b"a;b\n1;2\n", "", "a.csv"), "text/csv .csv");
    assert_eq!(typed(b"{}", "application/json; charset=utf-8", ""), "application/json .json");
    assert_eq!(typed(b"fn main() {}", "", "main.rs"), "text/plain .rs");
    assert_eq!(typed(b"just text", "text/html", "a.html"), "text/plain .txt");
    assert_eq!(typed(&[0xCF, 0xF0, 0xE8], "text/plain", "a.txt"), "text/plain .txt");
    assert_eq!(typed(&[0xCF, 0xF0, 0xE8], "", ""), "application/octet-stream .bin");
}

#[test]
fn an_unknown_type_is_believed_if_it_is_a_type() {
    assert_eq!(typed(b"\0\x01", "application/x-step; v=1", "part.stp"), "application/x-step .stp");
    assert_eq!(typed(b"\0\x01", "nonsense\r\n", "part.stp"), "application/octet-stream .stp");
}

#[test]
fn files_of_a_real_encoder_are_known() {
    for (name, expected) in [
        ("mono.webm", "audio/webm .weba"),
        ("live.webm", "audio/webm .weba"),
        ("video.webm", "video/webm .webm"),
        ("stereo.ogg", "audio/ogg; codecs=opus .ogg"),
        ("vorbis.ogg", "audio/ogg .ogg"),
    ] {
        let file =
            std::fs::read(format!("{}/tests/fixtures/media/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(typed(&file[..file.len().min(8192)], "application/octet-stream", name), expected);
    }
}
