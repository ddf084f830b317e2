// Writes locales.json: how numbers, sums, dates and times are written, per locale, in the patterns of Unicode's CLDR as
// the ICU of Node.js holds them. Run: node locales.mjs > locales.json
const tags = `en-US en-GB en-AU en-CA en-IE en-IN en-NZ en-ZA de-DE de-AT de-CH fr-FR fr-BE fr-CA fr-CH es-ES es-AR es-CL es-CO
es-MX es-PE es-US it-IT it-CH nl-NL nl-BE pt-PT pt-BR pl-PL sv-SE da-DK nb-NO fi-FI is-IS cs-CZ sk-SK hu-HU ro-RO bg-BG hr-HR
sl-SI sr-RS el-GR tr-TR uk-UA lt-LT lv-LV et-EE he-IL ar-AE ar-EG ar-SA ja-JP ko-KR zh-CN zh-TW th-TH vi-VN id-ID ms-MY`.split(/\s+/);

// Marks of direction are for mixed text on screens; all blanks that must not break are one here, and so are minus and apostrophe.
const clean = s => s.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '').replace(/[\u00a0\u202f\u2009]/g, '\u00a0')
    .replace(/\u2212/g, '-').replace(/\u2019/g, "'");

function numbers(tag) {
    const format = n => new Intl.NumberFormat(tag, { minimumFractionDigits: 1 }).formatToParts(n);
    const of = (parts, type) => clean((parts.find(p => p.type === type) || { value: '' }).value);
    const parts = format(-123456789.5);
    const groups = parts.filter(p => p.type === 'integer').map(p => p.value.length);
    const digits = [...new Intl.NumberFormat(tag, { useGrouping: false }).format(9876543210)].reverse().join('');
    const r = { decimal: of(parts, 'decimal'), group: of(parts, 'group') };
    if (groups[groups.length - 2] !== groups[groups.length - 1]) r.secondary = groups[groups.length - 2];
    if (!format(1234.5).some(p => p.type === 'group')) r.minimumGroup = 2;
    if (digits !== '0123456789') r.digits = digits;
    return r;
}

// "¤" is the currency, "#" the number.
function sums(tag, display) {
    const of = n => clean(new Intl.NumberFormat(tag, { style: 'currency', currency: 'EUR', currencyDisplay: display }).formatToParts(n)
        .map(p => p.type === 'currency' ? '¤' : /^(integer|group|decimal|fraction)$/.test(p.type) ? '#' : p.type === 'minusSign' ? '-' : p.value)
        .join('')).replace(/#+/g, '#');
    return [of(5), of(-5)];
}

// Letters that stand for themselves are quoted, as in CLDR.
const quoted = s => s.replace(/[A-Za-z]+/g, "'$&'");

// Letters as in CLDR date patterns: y year, M month, d day, H hour of 24, h of 12, a before or after noon; two letters have two
// digits.
function dates(tag) {
    const pad = (letter, value) => value.length > 1 ? letter + letter : letter;
    const form = (options, hour = 15) => new Intl.DateTimeFormat(tag + '-u-ca-gregory-nu-latn', { ...options, timeZone: 'UTC' })
        .formatToParts(new Date(Date.UTC(2026, 2, 4, hour, 7)));
    // The short date, but with all digits of the year.
    const date = clean(form({ dateStyle: 'short' }).map(p => ({ year: 'y', month: pad('M', p.value), day: pad('d', p.value) })[p.type] || quoted(p.value)).join(''));
    const clock = hour => form({ timeStyle: 'short' }, hour);
    const noon = hour => clean((clock(hour).find(p => p.type === 'dayPeriod') || { value: '' }).value);
    const half = noon(9) !== '';
    const time = clean(clock(9).map(p => ({ hour: pad(half ? 'h' : 'H', p.value), minute: 'mm', dayPeriod: 'a' })[p.type] || quoted(p.value)).join(''));
    return half ? { date, time, am: noon(9), pm: noon(15) } : { date, time };
}

const locales = {};
for (const tag of tags) {
    const [sum, negative] = sums(tag, 'symbol'), [coded, negativeCoded] = sums(tag, 'code');
    locales[tag] = { ...numbers(tag), sum, negative, ...(coded !== sum ? { coded, negativeCoded } : {}), ...dates(tag) };
}
console.log('{\n"source": ' + JSON.stringify(`Unicode CLDR ${process.versions.cldr} by ICU ${process.versions.icu}, locales.mjs`) + ',\n"locales": {\n' +
    Object.entries(locales).map(([tag, l]) => `${JSON.stringify(tag)}: ${JSON.stringify(l)}`).join(',\n') + '\n}\n}');
