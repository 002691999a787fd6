      // What is read of the key k.
      k.agent_id, k.key_id, k.algorithm, k.state, k.created_at, k.activated_at, k.expires_at, k.public_key, k.secret,
      k.wrapping_key, k.reason
