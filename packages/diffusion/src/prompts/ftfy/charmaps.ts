/**
 * The single-byte encodings that ftfy undoes, each as what its bytes 0x80 to 0xFF mean, in the order in which they
 * are tried. In the Windows ones unassigned bytes stand for the control characters of Latin-1, and byte 0x1A for
 * U+FFFD, whose own byte is lost. The tables are Python's.
 */

export interface Charmap {
  readonly name: string;
  /** Byte 0x1A is a lost byte: U+FFFD is encoded as it, and U+001A not at all. */
  readonly lossy: boolean;
  /** What bytes 0x80 to 0xFF mean: 128 characters, all in the Basic Multilingual Plane. */
  readonly upper: string;
}

/** Bytes 0x80 to 0x9F of the encodings that have nothing of their own there. */
const C1 = String.fromCharCode(...Array.from({ length: 32 }, (_, i) => 0x80 + i));
const LATIN_1 = C1 + String.fromCharCode(...Array.from({ length: 96 }, (_, i) => 0xa0 + i));

const windows = (codePage: number, upper: string): Charmap => ({
  name: `windows-${codePage}`,
  lossy: true,
  upper,
});

export const CHARMAPS: readonly Charmap[] = [
  { name: "latin-1", lossy: false, upper: LATIN_1 },
  windows(
    1252,
    "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ" +
      "\xa0¡¢£¤¥¦§¨©ª«¬\xad®¯°±²³´µ¶·¸¹º»¼½¾¿" +
      "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß" +
      "àáâãäåæçèéêëìíîïðñòóôõö÷øùúûüýþÿ",
  ),
  windows(
    1251,
    "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏђ‘’“”•–—\x98™љ›њќћџ" +
      "\xa0ЎўЈ¤Ґ¦§Ё©Є«¬\xad®Ї°±Ііґµ¶·ё№є»јЅѕї" +
      "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ" +
      "абвгдежзийклмнопрстуфхцчшщъыьэюя",
  ),
  windows(
    1250,
    "€\x81‚\x83„…†‡\x88‰Š‹ŚŤŽŹ\x90‘’“”•–—\x98™š›śťžź" +
      "\xa0ˇ˘Ł¤Ą¦§¨©Ş«¬\xad®Ż°±˛ł´µ¶·¸ąş»Ľ˝ľż" +
      "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß" +
      "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
  ),
  windows(
    1253,
    "€\x81‚ƒ„…†‡\x88‰\x8a‹\x8c\x8d\x8e\x8f\x90‘’“”•–—\x98™\x9a›\x9c\x9d\x9e\x9f" +
      "\xa0΅Ά£¤¥¦§¨©ª«¬\xad®―°±²³΄µ¶·ΈΉΊ»Ό½ΎΏ" +
      "ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡÒΣΤΥΦΧΨΩΪΫάέήί" +
      "ΰαβγδεζηθικλμνξοπρςστυφχψωϊϋόύώÿ",
  ),
  windows(
    1254,
    "€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8d\x8e\x8f\x90‘’“”•–—˜™š›œ\x9d\x9eŸ" +
      "\xa0¡¢£¤¥¦§¨©ª«¬\xad®¯°±²³´µ¶·¸¹º»¼½¾¿" +
      "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏĞÑÒÓÔÕÖ×ØÙÚÛÜİŞß" +
      "àáâãäåæçèéêëìíîïğñòóôõö÷øùúûüışÿ",
  ),
  windows(
    1257,
    "€\x81‚\x83„…†‡\x88‰\x8a‹\x8c¨ˇ¸\x90‘’“”•–—\x98™\x9a›\x9c¯˛\x9f" +
      "\xa0¡¢£¤¥¦§Ø©Ŗ«¬\xad®Æ°±²³´µ¶·ø¹ŗ»¼½¾æ" +
      "ĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽß" +
      "ąįāćäåęēčéźėģķīļšńņóōõö÷ųłśūüżž˙",
  ),
  {
    name: "iso-8859-2",
    lossy: false,
    upper:
      C1 +
      "\xa0Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\xadŽŻ°ą˛ł´ľśˇ¸šşťź˝žż" +
      "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß" +
      "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙",
  },
  {
    name: "macroman",
    lossy: false,
    upper:
      "ÄÅÇÉÑÖÜáàâäãåçéèêëíìîïñóòôöõúùûü" +
      "†°¢£§•¶ß®©™´¨≠ÆØ∞±≤≥¥µ∂∑∏π∫ªºΩæø" +
      "¿¡¬√ƒ≈∆«»…\xa0ÀÃÕŒœ–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ" +
      "‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ\uf8ffÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
  },
  {
    name: "cp437",
    lossy: false,
    upper:
      "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒ" +
      "áíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐" +
      "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀" +
      "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0",
  },
];

/** Whether the text can have been bytes of this encoding. */
export function canEncode(text: string, { upper, lossy }: Charmap): boolean {
  for (const character of text) {
    if (character <= "\x7f") {
      if (lossy && character === "\u001a") return false;
    } else if (!upper.includes(character) && !(lossy && character === "\ufffd")) return false;
  }
  return true;
}

/** The bytes, as characters U+0000 to U+00FF. The text must be encodable. */
export function encode(text: string, { upper, lossy }: Charmap): string {
  return text.replace(/[\x80-\uffff]/g, (character) =>
    lossy && character === "\ufffd" ? "\u001a" : String.fromCharCode(0x80 + upper.indexOf(character)),
  );
}
