/** What draws a picture on a terminal, and the lines that it takes. */
export interface DrawnPicture {
  /** Not to be made printable: escape sequences are what it is. Ends at the beginning of a line. */
  readonly text: string;
  readonly rows: number;
}
