"""The two Redis streams between auth and the gateway, which hold only what may be lost and can be made again.

REVOCATIONS, written by auth: `sid`, a session that has ended. REFILLED is set by auth's worker once everything that
ended within an access token's life and CLOCK_MARGIN is in the stream; it vanishes with it when Redis is emptied.

CONFIRMATIONS, written by the gateway: `sid` and `gen`, a session whose new access token was seen for the first time.
"""

REVOCATIONS = "latchkey:revocations"
REFILLED = "latchkey:revocations:refilled"
CONFIRMATIONS = "latchkey:confirmations"
