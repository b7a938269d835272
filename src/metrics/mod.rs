//! Translation quality: BLEU and chrF, equal to sacreBLEU.
