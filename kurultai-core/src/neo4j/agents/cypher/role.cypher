// A role r as Rust reads it.
r.role, coalesce(r.term, 0), r.holder, r.instance,
  coalesce(r.expires_at.epochSeconds * 1000000 + r.expires_at.microsecond, 0), r.promised_to, r.last_holder
