"""[submission]: what accounts may do that have logged in to submit mail."""

from __future__ import annotations

from typing import Annotated, Literal

from pymta.config.option import MINUTE, CountOrNone, Option, Seconds, Section


class SubmissionSettings(Section, frozen=True, kw_only=True):
    """What accounts may do that have logged in at a listener of role "submission"."""

    own_addresses: Annotated[
        Literal["everywhere", "reverse_path", "anything"],
        Option(
            'Which addresses an account may use: "everywhere" its own only, in MAIL FROM, From and Sender; "reverse_path" '
            'in MAIL FROM only; "anything" any. Its own are its name with any detail, those of `pymta account set --address`, '
            "and aliases whose members may send.",
            reader="policy.checks.own_address",
            rfc="6409 §6.1",
            precedent="Postfix reject_sender_login_mismatch, for MAIL FROM only",
        ),
    ] = "everywhere"
    hide_client: Annotated[
        bool,
        Option(
            "Leave the address and the name of the client out of the trace field: where somebody writes from is nobody "
            "else's business. The log has it, and the session's id with the message.",
            reader="accept.intake",
            rfc="5321 §7.6, 6409 §8",
        ),
    ] = False
    messages_per_day_max: Annotated[
        CountOrNone,
        Option(
            "Messages of one account within 24 hours; more get 450 4.7.1 at MAIL. 0 for no limit. All workers count "
            "together, and a restart forgets nothing.",
            reader="policy.checks.rates",
        ),
    ] = 1_000
    recipients_per_day_max: Annotated[
        CountOrNone,
        Option(
            "Recipients of one account within 24 hours; more get 450 4.7.1 at RCPT. 0 for no limit. Counted as messages "
            "are.",
            reader="policy.checks.rates",
            precedent="Gmail has 2 000 for paying customers",
        ),
    ] = 2_000
    burst_recipients_max: Annotated[
        CountOrNone,
        Option(
            "Recipients of one account within `burst_s`. More look as if its password was stolen: the message and those "
            "that follow are kept on hold, the log says so, and a `burst` hook of the policy can decide otherwise. 0 for "
            "never.",
            reader="policy.checks.rates",
        ),
    ] = 300
    burst_s: Annotated[Seconds, Option("See there.", reader="policy.checks.rates")] = 10 * MINUTE
