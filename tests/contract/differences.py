"""What the two real servers say differently, as far as the cases meet it. Everything else is the same, to the word.

A client must not depend on any of it: prefixes of tokens and the texts of refusals are the servers' own.
"""
VAULT = {
    "service token": "hvs.",
    "batch token": "hvb.",
    "wrong secret_id": "invalid secret id",
    "wrong role_id": "invalid role ID",
    "empty login": "failed to determine alias name from login request",
    "broken JSON": "error parsing JSON",
    "policy": {"name", "policy"},
}
OPENBAO = {  # 2.7.2
    "service token": "s.",
    "batch token": "b.",
    "wrong secret_id": "invalid role or secret ID",
    "wrong role_id": "invalid role or secret ID",
    "empty login": "missing role_id",
    "broken JSON": "failed to decode JSON input",
    # Policies have versions and templates of their own.
    "policy": {"name", "policy", "allow_slashes_in_identity_templates", "allow_wildcards_in_identity_templates", "cas_required",
               "modified", "version"},
}
