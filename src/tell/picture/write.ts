/** Writes the pictures that were asked for. */
import {
  askedPictures,
  type PictureKind,
  type PictureOptions,
} from '../../console/picture_options.js';
import { printText, writeFileWhole } from '../../console/output.js';
import { setTextWidth } from '../../console/text.js';

/** Columns of text in a picture: what a phone has room for. */
const COLUMNS = 48;

/**
 * Writes each picture to its path: all of a file, or nothing. What is text in it does not depend on
 * the terminal.
 *
 * @param draw - makes the text of a picture.
 * @throws WriteError for a file that can't be written.
 */
export async function writePictures(
  options: PictureOptions,
  draw: (kind: PictureKind) => Promise<string>,
): Promise<void> {
  for (const [kind, path] of askedPictures(options)) {
    setTextWidth(COLUMNS);
    // One after the other: where one fails, the next are not begun.
    // oxlint-disable-next-line no-await-in-loop
    const text = await draw(kind);
    if (path === '-') printText(text);
    else writeFileWhole(path, text);
  }
}
