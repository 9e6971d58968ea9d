"""A PostgreSQL cluster in a temporary directory. Passwords count: scram-sha-256.

As a program: `python3 postgres.py COMMAND...` runs COMMAND with KEYBEARER_PG_URL of a cluster that lives as long as it."""
import os
import secrets
import shutil
import subprocess
import sys
import tempfile

import psycopg2

BIN = "/usr/lib/postgresql/15/bin"


def _as_postgres(command, **more):
    if os.getuid() == 0:  # initdb and postgres refuse to run as root
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]
    return subprocess.run(command, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **more)


class Postgres:
    def __init__(self, port):
        self.port = port
        self.admin_password = "pgadmin-canary-" + secrets.token_hex(6)
        self.directory = tempfile.mkdtemp(prefix="kbpg-")  # short: socket paths end at 107 bytes
        if os.getuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        password_file = os.path.join(self.directory, "password")
        with open(password_file, "w", encoding="ascii") as file:
            file.write(self.admin_password)
        os.chmod(password_file, 0o644)
        _as_postgres([f"{BIN}/initdb", "-D", f"{self.directory}/data", "-A", "scram-sha-256", "-U", "vaultadmin",
                      f"--pwfile={password_file}", "--no-sync"])
        os.unlink(password_file)
        self.start()
        self.admin("CREATE DATABASE myappdb", database="postgres")
        self.admin("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")

    def start(self):
        options = (f"-k {self.directory} -p {self.port} -c listen_addresses=127.0.0.1 -c fsync=off "
                   "-c shared_buffers=16MB -c max_connections=60")
        _as_postgres([f"{BIN}/pg_ctl", "-D", f"{self.directory}/data", "-w", "-l", f"{self.directory}/log", "-o", options,
                      "start"])

    def stop(self):
        _as_postgres([f"{BIN}/pg_ctl", "-D", f"{self.directory}/data", "-m", "immediate", "stop"])

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def url(self):
        return f"postgresql://vaultadmin:{self.admin_password}@127.0.0.1:{self.port}/myappdb?sslmode=disable"

    def _connect(self, user, password, database="myappdb"):
        return psycopg2.connect(host="127.0.0.1", port=self.port, user=user, password=password, dbname=database,
                                connect_timeout=5)

    def admin(self, statement, database="myappdb"):
        connection = self._connect("vaultadmin", self.admin_password, database)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def roles(self, prefix="v-"):
        """db roles: the names that exist now and begin so."""
        names = [row[0] for row in self.admin("SELECT rolname FROM pg_roles")]
        return sorted(name for name in names if name.startswith(prefix))

    def run_as(self, user, password, statement="SELECT id FROM t"):
        """"" when it works, else the server's message."""
        try:
            connection = self._connect(user, password)
        except psycopg2.Error as error:
            return str(error)
        connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            return ""
        except psycopg2.Error as error:
            return str(error)
        finally:
            connection.close()

    def works(self, user, password):
        """psql_as: can this user log in and select?"""
        return self.run_as(user, password) == ""

    def reset(self):
        """No trace of an earlier scenario."""
        for (name,) in self.admin("SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' AND rolname <> 'vaultadmin'"):
            self.admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
            self.admin(f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')
        self.admin("DELETE FROM t; INSERT INTO t VALUES (1)")


def main():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cluster = Postgres(port)
    try:
        return subprocess.run(sys.argv[1:], env={**os.environ, "KEYBEARER_PG_URL": cluster.url}, check=False).returncode
    finally:
        cluster.close()


if __name__ == "__main__":
    sys.exit(main())
