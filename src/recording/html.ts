/** Pages of systrace: the text of ftrace within HTML, as newer and older versions write it. */
import { find, isAt, skipBlanks, word } from './bytes.js';

const DOCTYPE = word('<!doctype html');
const HTML = word('<html');
/** `<script class="trace-data" type="application/text">`. */
const DATA = word('class="trace-data"');
/** `var linuxPerfData = "\`: a string of JavaScript, whose lines end in `\n\`. */
const STRING = word('linuxPerfData = "');
const SCRIPT_END = word('</script>');

/** Whether this begins so, whatever the case of its letters. */
function begins(bytes: Uint8Array, at: number, end: number, sought: Uint8Array): boolean {
  return isAt(
    bytes.subarray(at, end).map((byte) => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte)),
    0,
    end - at,
    sought,
  );
}

/** Tells the lines of events from the viewer's code around them. */
export class HtmlLines {
  isPage = false;
  private inside = false;

  /** To be called with the first line. */
  begin(bytes: Uint8Array, from: number, end: number): void {
    const at = skipBlanks(bytes, from, end);
    const to = Math.min(end, at + DOCTYPE.length);
    this.isPage = begins(bytes, at, to, DOCTYPE) || begins(bytes, at, to, HTML);
  }

  holdsEvent(bytes: Uint8Array, from: number, end: number): boolean {
    if (this.inside) {
      if (find(bytes, from, end, SCRIPT_END) < 0) return true;
      this.inside = false;
    }
    if (find(bytes, from, end, DATA) >= 0) this.inside = find(bytes, from, end, SCRIPT_END) < 0;
    else if (find(bytes, from, end, STRING) >= 0) this.inside = true;
    return false;
  }
}
