"""What the web app says in words where an account makes no more pictures, in the languages that accounts speak. Pure.

The texts are not documented anywhere. What is taken for such a notice is short, and says in one sentence what is limited
and that the limit is reached; whatever else a model says is its answer.
"""

import re

_LONGEST = 600
"""Characters. A longer text talks of something else."""
_SENTENCE_END = re.compile("[.!?\n\u3002\uff01\uff1f]+")
_PICTURE = r"\b(?:image|picture|photo)s?\b"
_USED_UP = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:reached|hit|exceeded|used up|run out of|ran out of)\b.{{0,40}}{_PICTURE}.{{0,40}}\b(?:limit|quota)",
        rf"\b(?:reached|hit|exceeded|used up)\b.{{0,20}}\b(?:limit|quota)\b.{{0,30}}{_PICTURE}",
        rf"{_PICTURE}.{{0,20}}\b(?:limit|quota)\b.{{0,40}}\b(?:reached|resets|used up|exceeded)\b",
        rf"\b(?:limit|quota)\b.{{0,30}}{_PICTURE}.{{0,40}}\b(?:reached|resets|used up|exceeded)\b",
        rf"\b(?:can't|cannot) (?:create|generate|make) (?:any )?more {_PICTURE}.{{0,40}}"
        r"\b(?:today|tomorrow|until|now)\b",
    )
)
_USED_UP_WORDS = tuple(
    tuple(re.compile(word) for word in words)
    for words in (
        # A picture, a limit, and that it is reached, all in one sentence.
        (r"bild", r"limit|kontingent|obergrenze", r"erreicht|aufgebraucht|ausgeschöpft|überschritten"),
        (r"\bimages?\b", r"\blimite|\bquota", r"atteint|dépassé|épuisé"),
        (r"im[aá]gen", r"l[ií]mite|cuota", r"alcanz|agotad|superado"),
        (r"imagem|imagens", r"limite|\bcota\b|quota", r"ating|alcançou|esgot|excedeu"),
        (r"immagin", r"limite|quota", r"raggiunt|esaurit|superat"),
        (r"afbeelding", r"limiet|quotum", r"bereikt|overschreden|opgebruikt"),
        (r"obraz|grafik", r"limit", r"osiągnię|wykorzystan|przekroczon"),
        (r"изображени|картин", r"лимит|квот", r"достиг|исчерпа|превы"),
        (r"зображен", r"ліміт|квот", r"досяг|вичерпа|перевищ"),
        (r"görsel|resim|görüntü", r"sınır|limit|kota", r"ulaştı|doldu|aştı"),  # noqa: RUF001
        (r"画像", r"上限|制限", r"達し|超え"),
        (r"이미지", r"한도|제한", r"도달|초과|소진"),
        (r"图片|图像|圖片|圖像", r"上限|限额|额度|配额|限額|額度|配額", r"达到|達到|已达|已達|用完|超出|超过|超過|耗尽"),
        (r"hình ảnh", r"giới hạn|hạn mức", r"đạt|vượt|hết"),
        (r"gambar", r"batas|kuota", r"mencapai|tercapai|habis"),
    )
)  # fmt: skip
_NOT_HERE = re.compile(
    r"\b(?:image|picture)s? (?:generation|creation)\b.{0,30}\b(?:isn't|is not)\b.{0,20}\bavailable\b"
    r".{0,20}\b(?:your|this) (?:country|region|location|account|age)\b"
)


def used_up(text: str) -> bool:
    """Whether it says that the account's pictures are used up for now."""
    return any(
        any(pattern.search(sentence) for pattern in _USED_UP)
        or any(all(pattern.search(sentence) for pattern in words) for words in _USED_UP_WORDS)
        for sentence in _sentences(text)
    )


def not_available(text: str) -> bool:
    """Whether it says that the account may not make pictures at all."""
    return any(_NOT_HERE.search(sentence) for sentence in _sentences(text))


def _sentences(text: str) -> list[str]:
    if len(text) > _LONGEST:
        return []
    return _SENTENCE_END.split(text.replace("\u2019", "'").casefold())
