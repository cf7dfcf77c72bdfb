"""Frames between the router and a replica: one header for all, then a payload.

Little-endian, 24 bytes: payload length (u32), kind (u8), codec (u8), length of the head inside
the payload (u16), status (u16), reserved (u16), number (u32), id (u64). The payload is `head`
followed by `body`. What the fields mean for each kind is said at the kind.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct("<IBBHHHIQ")
MAX_PAYLOAD = 256 * 2**20

CALL = 1
"""Router to lane: predict. `codec` is one of the request codecs, `number` the milliseconds left
until the deadline. `head` is the raw HTTP head (request line and header lines, ending in an empty
line) where the predictor wants a `Request`, else empty; `body` the body as it came."""
BATCH = 2
"""Router to lane: predict many at once. The payload is CALL frames, one after another; `number`
says how many, `id` is the batch's own; each call in it is answered for itself."""
ANSWER = 3
"""Lane to router: the whole answer of call `id`. `status` is HTTP's, `codec` one of the answer
codecs, `head` further header lines (`name: value` and CRLF each), `body` the body, `number` the
microseconds the work took in the replica. Also control's answer to HEALTH and METRICS."""
STREAM = 4
"""Lane to router: like ANSWER, without a body: the body follows in CHUNK frames."""
CHUNK = 5
"""Lane to router: a piece of the body of stream `id`."""
END = 6
"""Lane to router: the end of stream `id`; `status` 0, or 500 with the reason as body: cut short."""
CREDIT = 7
"""Router to control: stream `id` may send `number` more bytes of chunks; it begins with
CREDIT_BYTES."""
CANCEL = 8
"""Router to control: nobody waits for call `id` any more. It is answered all the same (at once,
with status 499 and no body, where it was not begun), so that the router knows the lane is free."""
HELLO = 9
"""First frame of every connection, from the replica. On a lane JSON `{"pid", "lane",
"concurrency"}`: `lane` is its slot in the page of started calls, `concurrency` the calls it can do
at once. On control JSON like STATE's."""
HEALTH = 10
"""Router to control: ask `Predictor.health()`; answered by ANSWER with the same id."""
METRICS = 11
"""Router to control: answered by ANSWER with JSON `{"prometheus": text, "values": [[name, tag,
value], …], "busy": [[lane, id, seconds], …]}`."""
DRAIN = 12
"""Router to control: no more calls will come; exit 0 when those under way have ended."""
STATE = 13
"""Control to router: JSON `{"state": "loading" | "ready" | "failed", "message": …, "predictor":
{…}}`, sent whenever it changes. `predictor` (when ready): `class`, `async`, `wants_request`,
`batch`, `prepare`, `lanes`, `payload_schema`, `answer_schema`, `warnings` (texts), `model_path`
(how /model is provided: namespace, symlink, patched, none)."""

# Request codecs: how the body is to be decoded. The router tells them from the content type.
JSON = 0
MSGPACK = 1
NPY = 2
RAW = 3
"""Whatever it is, the predictor takes a `Request`, or gets bytes."""
INFER = 4
"""Open Inference Protocol v2, JSON; `head` is always there (its binary extension needs it)."""

# Answer codecs: the content type of the body.
AS_JSON = 0
AS_TEXT = 1
AS_BYTES = 2
AS_GIVEN = 3
"""`head` holds the content-type line."""

CREDIT_BYTES = 256 * 1024
STARTED_SLOTS = 512
"""The page of started calls: so many u64 ids, one a lane; 0: idle. A file of 4096 bytes.

A slot holds the id of the call (or batch) begun last, until the answers of all begun before it are
sent: the router takes those sent before it on the same lane for begun, those after it for not."""


def frame(
    kind: int,
    ident: int,
    body: bytes = b"",
    *,
    codec: int = 0,
    head: bytes = b"",
    status: int = 0,
    number: int = 0,
) -> bytes:
    """One frame as bytes."""
    return (
        HEADER.pack(len(head) + len(body), kind, codec, len(head), status, 0, number, ident)
        + head
        + body
    )
