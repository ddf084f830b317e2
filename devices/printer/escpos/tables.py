#!/usr/bin/env python3
"""Writes profiles.json and ../codepage/pages.go from the printer database and the tables of Python and the C library.

Run it in this folder:  python3 tables.py capabilities.json cp853.ucp
capabilities.json is dist/capabilities.json of receipt-print-hq/escpos-printer-db (CC BY 4.0), commit fe07c81.
Code pages 720 to 1125 and RK1048 come from Python's codecs, 851 from iconv, TCVN-3 and Katakana from the database,
853 from cp853.ucp of robhagemans/monobit (after kostis.net), commit 48dced9, 1098 from the JDK's charset x-IBM1098.
"""
import json
import os
import subprocess
import sys
import tempfile
import unicodedata

CODECS = {"720": "cp720", "737": "cp737", "775": "cp775", "857": "cp857", "861": "cp861", "864": "cp864",
          "869": "cp869", "1125": "cp1125", "rk1048": "kz1048"}
# Names of the database that differ from ours. 851 is left out of the profiles: the database does not trust it.
SKIP = {"CP851", "CP932", "CP874", "Unknown"}
KNOWN = {"437", "850", "860", "863", "865", "iso8859-7", "1252", "866", "852", "858", "855", "862", "iso8859-2",
         "iso8859-15", "1250", "1251", "1253", "1254", "1255", "1256", "1257", "1258", "katakana", "tcvn-3-1",
         "tcvn-3-2", "853", "1098"} | set(CODECS)
# The database counts characters of another font here.
COLUMNS = {"NT-80-V-UL": 48}
# Process id: Epson's page on GS ( H function 48, less those that an older edition excludes.
NO_PROCESS_ID = {"TM-T88II", "TM-T88III", "TM-U220", "TM-U220B"}
# NV graphics (GS ( L functions 67 and 69): in Epson's own manuals of TM-L90, TM-T88V and TM-T20III, and taken from those
# for the models of the same generations, less older ones that know FS q or nothing. TH230, TH230+: Wincor Nixdorf's
# programmer's guide.
NO_NV_GRAPHICS = {"TM-T88II", "TM-T88III", "TM-U220", "TM-U220B"}
NV_GRAPHICS = {"TH230", "TH230Plus"}
NO_DRAWER = {"TM-P80", "TM-P80-42col"}


def ours(name):
    return name.lower().removeprefix("cp").replace("iso_8859", "iso8859")


def codec_table(codec):
    return "".join(bytes([b]).decode(codec, "replace") for b in range(128, 256))


def iconv_table(name):
    out = ""
    for b in range(128, 256):
        r = subprocess.run(["iconv", "-f", name, "-t", "UTF-8"], input=bytes([b]), capture_output=True)
        out += r.stdout.decode() if r.returncode == 0 else "\uFFFD"
    return out


def data_table(rows):
    text = "".join(rows).replace("\u00D0", "\u0110")  # the Vietnamese letter, not the Icelandic one
    return text.replace(" ", "\uFFFD")


def ucp_table(path):
    """853; the middle dot at EEh is left out, because other tables have nothing there."""
    table = ["\uFFFD"] * 128
    with open(path, encoding="ascii") as f:
        for line in f:
            byte, _, char = line.strip().partition(":")
            if not line.startswith("#") and int(byte, 16) >= 128 and byte != "ee":
                table[int(byte, 16) - 128] = chr(int(char, 16))
    return "".join(table)


def java_table(charset):
    program = """import java.io.*; import java.nio.charset.*; public class Table { public static void main(String[] a) throws IOException {
        byte[] b = new byte[128]; for (int i = 0; i < 128; i++) b[i] = (byte) (128 + i);
        System.out.write(new String(b, Charset.forName(a[0])).getBytes("UTF-8")); System.out.flush(); } }"""
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "Table.java")
        with open(source, "w", encoding="utf-8") as f:
            f.write(program)
        return subprocess.run(["java", source, charset], capture_output=True, check=True).stdout.decode()


def literal(table):
    """A Go string: control characters are holes, and what an editor might hide or join is written as an escape."""
    out = ""
    for c in table:
        kind = unicodedata.category(c)
        if kind == "Cc":
            c = "\uFFFD"
        out += "\\u%04X" % ord(c) if kind in ("Cc", "Cf", "Zs", "Mn", "Co") or c == "\uFFFD" else c
    return '"' + out + '"'


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        db = json.load(f)
    profiles = []
    for key, p in db["profiles"].items():
        if p["features"].get("starCommands") or not p["features"].get("pulseStandard"):
            continue  # Star's own commands, customer displays
        pages = {}
        for n in sorted(p["codePages"], key=int):
            name = p["codePages"][n]
            if name not in SKIP and ours(name) in KNOWN and ours(name) not in pages:
                pages[ours(name)] = int(n)
        epson = p["vendor"] == "Epson"
        profiles.append({
            "id": key, "name": p["vendor"] + " " + p["name"], "columns": COLUMNS.get(key, p["fonts"]["0"]["columns"]),
            "processId": epson and key not in NO_PROCESS_ID or key == "default",
            "realTimePulse": epson and key not in NO_DRAWER, "codePages": pages})
        if not p["features"].get("bitImageRaster"):
            profiles[-1]["pictures"] = False
        if epson and key not in NO_NV_GRAPHICS or key in NV_GRAPHICS:
            profiles[-1]["stored"] = True
    with open("profiles.json", "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(p) for p in profiles) + "\n]\n")
    tables = {n: codec_table(c) for n, c in CODECS.items()}
    tables["851"] = iconv_table("CP851")
    tables["853"] = ucp_table(sys.argv[2])
    tables["1098"] = java_table("x-IBM1098")
    for n in ("KATAKANA", "TCVN-3-1", "TCVN-3-2"):
        tables[n.lower()] = data_table(db["encodings"][n]["data"])
    path = os.path.join("..", "codepage", "pages.go")
    with open(path, "w", encoding="utf-8") as f:
        f.write("// Code generated by ../escpos/tables.py; see there for the sources. DO NOT EDIT.\n\npackage codepage\n\n")
        f.write("// Bytes 80h to FFh of the code pages that golang.org/x/text lacks; U+FFFD stands where a page has nothing.\nconst (\n")
        for n in sorted(tables):
            assert len(tables[n]) == 128, (n, len(tables[n]))
            f.write("\tupper%s = %s\n" % (n.replace("-", ""), literal(tables[n])))
        f.write(")\n")
    subprocess.run(["gofmt", "-w", path], check=True)


main()
