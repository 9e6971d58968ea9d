"""The bases of the seeds: what the server holds, and the user's agent.toml (seed-scenarios, sections 4 to 7)."""
from harness import fields

LOGIN = '''
[vault]
address = "@addr@"
@vault@

[auto_auth]
@auth@
[auto_auth.method]
type = "approle"
role_id_file_path = "boot/role-id"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false
'''


def login_files(s, role, policies, **options):
    """An AppRole, its ids in boot/; returns the role_id."""
    role_id, secret_id = s.vault.approle(role, policies, **options)
    s.write("boot/role-id", role_id + "\n")
    s.write("boot/secret-id", secret_id + "\n")
    return role_id


def toml(text, **values):
    """Replaces @name@; names without a value become empty. @addr@ stays for Scenario.config."""
    for name in ("vault", "auth", "lease", "exec", "more", "top", "template"):
        text = text.replace(f"@{name}@", values.pop(name, ""))
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    return text


# --- KV alone: the smallest thing that has a file, a child and a login

KV = "@top@" + LOGIN + '''
[template_config]
static_secret_render_interval = "@interval@"
@template@
[[template]]
destination = "out/config.ini"
contents = '{{ with secret "kv/data/app" }}value = {{ .Data.data.value }}{{ end }}'
[exec]
command = @app@
@exec@
@more@
'''
KV_DATA, KV_METADATA = "kv/data/app", "kv/metadata/app"


def kv_base(s, value="", metadata=True, **role):
    """KV2(kv) with app {value}; returns the value."""
    value = value or s.canary("kv-first")
    s.vault.kv2("kv")
    s.vault.put(KV_DATA, {"value": value})
    s.vault.policy("kv-reader", "kv/data/*", *(["kv/metadata/*"] if metadata else []))
    login_files(s, "app", "kv-reader", **{"token_ttl": "10m", **role})
    return value


def kv_run(s, interval="1s", app=(), **values):
    values.setdefault("exec", 'debounce = "100ms"')
    return s.run(toml(KV, interval=interval, app=s.app_toml("--file", "out/config.ini", *app), **values))


# --- S0: the client application

S0 = '''
@top@
[vault]
address = "@addr@"
namespace = ""
timeout = "30s"
max_response_size = 4096
@vault@

[auto_auth]
@auth@
[auto_auth.method]
type = "approle"
role_id = "@role_id@"
secret_id_file_path = "boot/secret-id"
remove_secret_id_file_after_reading = false

[lease]
@lease@

[[secret]]
path = "my-vault-app-kv/data/database"
static_secret_render_interval = "@interval@"

[[template]]
destination = "out/config.ini"
contents = \'\'\'
{{ with secret "my-vault-app-kv/data/database" }}[kv]
api_key = {{ .Data.data.api_key }}
database_url = {{ .Data.data.database_url }}
{{ end }}@sections@\'\'\'

[exec]
command = @app@
@exec@
@more@
'''
S0_DYNAMIC = '''{{ with secret "my-vault-app-database/creds/db-demo-dynamic" }}[database_dynamic]
username = {{ .Data.username }}
password = {{ .Data.password }}
{{ end }}'''
S0_STATIC = '''{{ with secret "my-vault-app-database/static-creds/db-demo-static" }}[database_static]
username = {{ .Data.username }}
password = {{ .Data.password }}
{{ end }}'''
S0_KV_DATA, S0_KV_METADATA = "my-vault-app-kv/data/database", "my-vault-app-kv/metadata/database"
S0_CREDS = "my-vault-app-database/creds/db-demo-dynamic"
S0_STATIC_CREDS = "my-vault-app-database/static-creds/db-demo-static"


def s0_base(s, metadata=True, dynamic=("12s", "60s"), period="10s", static=True, policies="my-vault-app", **role):
    vault = s.vault
    vault.kv2("my-vault-app-kv")
    s0_write(s, "first")
    vault.database(s.pg, "my-vault-app-database")
    vault.dynamic("db-demo-dynamic", *dynamic, mount="my-vault-app-database")
    if static:
        vault.static(s.pg, "db-demo-static", "my-vault-app-static", period, mount="my-vault-app-database")
    vault.policy("my-vault-app", S0_KV_DATA, S0_CREDS, S0_STATIC_CREDS, *([S0_KV_METADATA] if metadata else []),
                 **{"sys/leases/revoke": ["update"]})
    s.role_id = login_files(s, "my-vault-app", policies, **{"token_ttl": "30s", **role})


def s0_write(s, version):
    s.vault.put(S0_KV_DATA, {"api_key": s.canary(f"api-{version}"), "database_url": f"postgres://host/{version}"})


def s0_toml(s, sections=S0_DYNAMIC + S0_STATIC, interval="5s", app=(), **values):
    return toml(S0, role_id=s.role_id, sections=sections, interval=interval,
                app=s.app_toml("--file", "out/config.ini", *app), **values)


def s0_run(s, env=None, **values):
    return s.run(s0_toml(s, **values), env=env)


def s0_values(s, section):
    """What the rendered file says now."""
    return fields(s.read("out/config.ini"), section)


def section_works(s, section):
    values = s0_values(s, section)
    return s.pg.works(values["username"], values["password"])


# --- S1: the integration process

S1_ENV = '''
[env.DB_PASSWORD]
contents = '{{ with secret "kv-demo/data/sample" }}{{ .Data.data.DB_PASSWORD }}{{ end }}'
[env.API_KEY]
contents = '{{ with secret "kv-demo/data/sample" }}{{ .Data.data.API_KEY }}{{ end }}'
default = "none"
'''
S1_FILE = '''
[[template]]
destination = "out/config.ini"
perms = "0600"
contents = \'\'\'
[database]
{{ with secret "kv-demo/data/sample" -}}
password = {{ .Data.data.DB_PASSWORD }}
api_key = {{ .Data.data.API_KEY }}
{{ end }}\'\'\'
'''
S1_DATABASE = '''
[env.DB_USER]
contents = '{{ with secret "database/creds/myapp-role" }}{{ .Data.username }}{{ end }}'
[env.DB_USER_PASSWORD]
contents = '{{ with secret "database/creds/myapp-role" }}{{ .Data.password }}{{ end }}'
'''
S1 = "@top@" + LOGIN + '''
[template_config]
static_secret_render_interval = "@interval@"
@template@
[lease]
@lease@
@parts@
[exec]
command = @app@
restart_on_secret_changes = "@on_change@"
@exec@
@more@
'''
S1_SAMPLE, S1_CREDS = "kv-demo/data/sample", "database/creds/myapp-role"
S1_REFETCH = 'strategy = "refetch"\nrenew_at = 0.8\nmin_remaining = "0s"'


def s1_base(s, database=False, ttl="10s", **role):
    s.vault.kv2("kv-demo")
    s1_write(s)
    paths = [S1_SAMPLE, "kv-demo/metadata/sample"]
    if database:
        s.vault.database(s.pg)
        s.vault.dynamic("myapp-role", "10s", "60s")
        paths.append(S1_CREDS)
    s.vault.policy("myapp", *paths, **{"sys/leases/revoke": ["update"]})
    login_files(s, "myapp", "myapp", **{"token_ttl": ttl, "token_max_ttl": "10m", **role})


def s1_write(s, **values):
    """A new version of the sample; returns its values."""
    values = {"DB_PASSWORD": s.canary("db-password"), "API_KEY": s.canary("api-key"), **values}
    s.vault.put(S1_SAMPLE, {key: value for key, value in values.items() if value is not None})
    return values


def s1_toml(s, parts=S1_ENV + S1_FILE, interval="5m", app=("--file", "out/config.ini"), auth="renew_at = 0.8",
            lease=S1_REFETCH, on_change="always", **values):
    values.setdefault("exec", 'debounce = "100ms"')
    return toml(S1, parts=parts, interval=interval, app=s.app_toml(*app), auth=auth, lease=lease, on_change=on_change,
                **values)


def s1_run(s, env=None, **values):
    return s.run(s1_toml(s, **values), env=env)


# --- S2: dynamic secrets

S2 = "@top@" + LOGIN + '''
[lease]
strategy = "renew"
renew_at = 0.67
revoke_on_exit = true
@lease@

[env.DATABASE_URL]
contents = '{{ with secret "database/creds/@role@" }}postgresql://{{ .Data.username | urlquery }}:{{ .Data.password | urlquery }}@127.0.0.1:5432/myappdb{{ end }}'
[env.PGUSER]
contents = '{{ with secret "database/creds/@role@" }}{{ .Data.username }}{{ end }}'
[env.PGPASSWORD]
contents = '{{ with secret "database/creds/@role@" }}{{ .Data.password }}{{ end }}'

[exec]
command = @app@
@exec@
@more@
'''
S2_READONLY = "database/creds/readonly"


def s2_base(s, ttl="9s", max_ttl="30s", may_revoke=True, **role):
    s.vault.database(s.pg)
    s.vault.dynamic("readonly", ttl, max_ttl)
    s.vault.dynamic("readwrite", ttl, max_ttl, "SELECT, INSERT, UPDATE, DELETE")
    s.vault.policy("app", "database/creds/*", **({"sys/leases/revoke": ["update"]} if may_revoke else {}))
    login_files(s, "app", "app", **{"token_ttl": "10m", **role})


def s2_toml(s, role="readonly", app=(), **values):
    values.setdefault("exec", 'debounce = "100ms"')
    return toml(S2, role=role, app=s.app_toml(*app), **values)


def s2_run(s, **values):
    return s.run(s2_toml(s, **values))


def app_user(s):
    """(user, password) that the application has now."""
    env = s.runlog.starts()[-1]["env"]
    return env["PGUSER"], env["PGPASSWORD"]
