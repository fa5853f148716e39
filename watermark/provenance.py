"""What a picture file says about its origin: IPTC's DigitalSourceType in its XMP, put in without decoding a pixel.

PNG, JPEG and WebP. A file that has an XMP packet keeps it, with the property added, or with its value mended where it
names another origin than AI. A packet that cannot be extended without doubt (extended XMP, an unknown form or encoding,
one of more than LONGEST bytes) is left as it is.
"""

import re
import struct
import zlib

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
_NAMESPACE = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEY = b"XML:com.adobe.xmp"
_JPEG_KEY = b"http://ns.adobe.com/xap/1.0/\x00"
_JPEG_MORE = b"http://ns.adobe.com/xmp/extension/\x00"
LONGEST = 16 * 1024 * 1024
"""Bytes of a compressed packet that are unpacked at most."""
_HAS_TYPE = re.compile(rb"DigitalSourceType")
_VALUE = re.compile(rb"(DigitalSourceType\s*(?:=\s*[\"']|>))([^\"'<>]*)")
_EMPTY_RDF = re.compile(rb"(<rdf:RDF\b[^<>]*?)(?:/>|>\s*</rdf:RDF\s*>)")
_DESCRIPTION = re.compile(rb"<rdf:Description\b([^<>]*?)(/?)>")
_OWN = (
    f'<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="{_NAMESPACE}" Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"/>'
).encode()
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    f'{_OWN.decode()}</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
).encode()
_LONGEST_SEGMENT = 65533


def declare(data: bytes) -> bytes:
    """The file with `DigitalSourceType=trainedAlgorithmicMedia`; the same bytes where it cannot be said safely.

    Every other byte of the file stays what it is, but for the lengths and checksums around the packet. A second
    call changes nothing.
    """
    try:
        if data.startswith(_PNG):
            return _in_png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _in_jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _in_webp(data)
    except (struct.error, IndexError, zlib.error):
        # Cut off or damaged: not ours to mend.
        return data
    return data


def merged(packet: bytes) -> bytes | None:
    """An XMP packet with the property added or mended, or None where it is right or of a form that is not known."""
    if b"<rdf:RDF" not in packet or b"\x00" in packet:
        return None
    if _HAS_TYPE.search(packet):
        value = _VALUE.search(packet)
        if value is None or b"rainedAlgorithmicMedia" in value[2]:
            return None
        return packet[: value.start(2)] + SOURCE_TYPE.encode() + packet[value.end(2) :]
    found = _DESCRIPTION.search(packet)
    if found is None:
        return (
            _EMPTY_RDF.sub(rb"\1>" + _OWN + b"</rdf:RDF>", packet, count=1)
            if _EMPTY_RDF.search(packet)
            else None
        )
    attributes = found[1]
    addition = f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}"'.encode()
    declared = re.search(rb'xmlns:Iptc4xmpExt\s*=\s*["\']([^"\']*)', packet)
    if declared is not None and declared[1] != _NAMESPACE.encode():
        return None
    if b"xmlns:Iptc4xmpExt" not in attributes:
        addition = f' xmlns:Iptc4xmpExt="{_NAMESPACE}"'.encode() + addition
    return packet[: found.start(2)] + addition + packet[found.start(2) :]


def _in_png(data: bytes) -> bytes:
    at = len(_PNG)
    place = 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data):
            return data
        if kind == b"iTXt" and data.startswith(_PNG_KEY + b"\x00", at + 8, end - 4):
            return _png_merged(data, at, end, data[at + 8 : end - 4])
        if kind in (b"IDAT", b"IEND"):
            place = place or at
            if kind == b"IEND":
                break
        at = end
    if not place:
        return data
    return _replaced(data, place, place, _chunk(_PNG_KEY + bytes(5) + _PACKET))


def _png_merged(data: bytes, at: int, end: int, body: bytes) -> bytes:
    compressed = body[len(_PNG_KEY) + 1] == 1
    language = body.find(b"\x00", len(_PNG_KEY) + 3)
    head = body.find(b"\x00", language + 1) + 1
    if language < 0 or not head:
        return data
    packet = body[head:]
    if compressed:
        unpacker = zlib.decompressobj()
        packet = unpacker.decompress(packet, LONGEST)
        if not unpacker.eof:
            return data
    new = merged(packet)
    if new is None:
        return data
    return _replaced(data, at, end, _chunk(body[:head] + (zlib.compress(new) if compressed else new)))


def _replaced(data: bytes, start: int, end: int, new: bytes) -> bytes:
    """`new` in the place of data[start:end]. Copied once: a copy of 30 MB holds the interpreter for long enough."""
    whole = memoryview(data)
    return b"".join((whole[:start], new, whole[end:]))


def _chunk(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))


def _in_jpeg(data: bytes) -> bytes:
    at = place = 2
    while data[at] == 0xFF and data[at + 1] not in (0xDA, 0xD9):
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1  # any number of FF may fill the space before a marker
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        end = at + 2 + length
        body = data[at + 4 : end]
        if marker == 0xE1 and body.startswith(_JPEG_MORE):
            return data
        if marker == 0xE1 and body.startswith(_JPEG_KEY):
            new = merged(body[len(_JPEG_KEY) :])
            return data if new is None else _segment(data, at, end, new)
        if marker in (0xE0, 0xE1):
            # After JFIF and EXIF, which must come first.
            place = end
        at = end
    if data[at] != 0xFF:
        return data
    return _segment(data, place, place, _PACKET)


def _segment(data: bytes, start: int, end: int, packet: bytes) -> bytes:
    body = _JPEG_KEY + packet
    if len(body) > _LONGEST_SEGMENT:
        return data
    return _replaced(data, start, end, b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body)


def _in_webp(data: bytes) -> bytes:
    (riff,) = struct.unpack_from("<I", data, 4)
    if riff + 8 > len(data):
        return data
    chunks: list[tuple[bytes, bytes]] = []
    at = 12
    while at + 8 <= riff + 8:
        (length,) = struct.unpack_from("<I", data, at + 4)
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + (length & 1)
    if not chunks:
        return data
    kinds = [kind for kind, _ in chunks]
    if b"XMP " in kinds:
        old = kinds.index(b"XMP ")
        new = merged(chunks[old][1])
        if new is None:
            return data
        chunks[old] = (b"XMP ", new)
    else:
        if kinds[0] in (b"VP8 ", b"VP8L"):
            chunks.insert(0, (b"VP8X", _extended(*chunks[0])))
        elif kinds[0] != b"VP8X":
            return data
        flags = chunks[0][1]
        chunks[0] = (b"VP8X", bytes([flags[0] | 4]) + flags[1:])
        chunks.append((b"XMP ", _PACKET))
    body = b"".join(
        kind + struct.pack("<I", len(content)) + content + bytes(len(content) & 1) for kind, content in chunks
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body + data[riff + 8 :]


def _extended(kind: bytes, content: bytes) -> bytes:
    """The VP8X header that a simple file lacks: flags, then width and height less one."""
    if kind == b"VP8L":
        bits = int.from_bytes(content[1:5], "little")
        width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    else:
        width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", content, 6))
        alpha = 0
    return (
        bytes([alpha << 4, 0, 0, 0]) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    )
